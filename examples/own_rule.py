"""A plasticity rule of your own, in one file: python examples/own_rule.py

From the command line, in this directory: ghostnet train mb-100-tf --model own_rule:gainless --eta 0.8 0.008 --epochs 1
"""

import ghostnet as gn


def post(e):
    """The error term alone, without the slope ρ'(s): a neuron need not know its own gain."""
    return e


mb = gn.MODELS["MB"]
learn = gn.Rule(matrix="W", post=post, pre="r", rate="eta", when="end")
gainless = gn.Model(mb.phases, (mb.rule("W_gp"), learn))

if __name__ == "__main__":
    e = gn.preset("mb-100-tf", model=gainless, eta=(0.8, 0.008), epochs=1)
    run = gn.train(e)
    print(f"{100 * run.metrics[-1]['test_accuracy']:.1f} % of the test images after an epoch")
