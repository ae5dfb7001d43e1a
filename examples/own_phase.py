"""A presentation with a phase of your own, in one file: python examples/own_phase.py

From the command line, in this directory: ghostnet train mb-100-tf --model own_phase:rested --epochs 1
"""

import ghostnet as gn

mb = gn.MODELS["MB"]
free, clamped = mb.phases
fast = mb.rule("W_gp")

# After the clamped phase the network is left alone again, as in sleep, and its ghosts go on cancelling.
rested = gn.Model(
    phases=(free, clamped, gn.Phase("rest")),
    rules=(gn.Rule("W_gp", fast.post, fast.pre, fast.rate, when=("free", "rest"), per_example=True), mb.rule("W")),
)

if __name__ == "__main__":
    run = gn.train(gn.preset("mb-100-tf", model=rested, epochs=1))
    print(f"{100 * run.metrics[-1]['test_accuracy']:.1f} % of the test images after an epoch")
