"""A network to torch, taught there by DFA and by backprop, and back, in one file: python examples/torch_module.py"""

import torch

import ghostnet as gn

exp = gn.preset("mb-100", feedback="TF")
digits = gn.dataset("mnist")


def taught(module, examples):
    """The module after a step for every 50 examples, by backprop unless it is converted."""
    x, y = torch.tensor(digits.train_images) / 255, torch.eye(10)[torch.tensor(digits.train_labels).long()]
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    for some in torch.arange(examples).split(50):
        optimizer.zero_grad()
        (module(x[some]) - y[some]).square().sum(-1).mean().backward()
        optimizer.step()
    return module


if __name__ == "__main__":
    module = gn.build(exp).to_torch()  # Linear without bias and Sigmoid, in turn: module(x) is what net.outputs(x) is
    other = taught(gn.torch.convert(module, "dfa"), 5_000)  # a copy, in which e of the outputs reaches every layer by B
    guessed = other(torch.tensor(digits.test_images) / 255).argmax(1).numpy()
    print(f"{100 * (guessed == digits.test_labels).mean():.1f} % of the test images, after 5,000 examples of DFA")
    net = gn.from_torch(taught(module, 5_000), exp)  # W is torch's; B, W_pg and W_gp are drawn as gn.build does
    right = net.predict(digits.test_images)[0] == digits.test_labels
    print(f"{100 * right.mean():.1f} %, after 5,000 of backprop")
    sim = gn.Simulator(net)  # ghost units go on from there
    sim.run_examples(digits, torch.arange(5_000, 25_000).reshape(-1, 1, 1).numpy())
    right = sim.network.predict(digits.test_images)[0] == digits.test_labels
    print(f"{100 * right.mean():.1f} %, after 20,000 more of ghost units")
    sim.network.save("digits.safetensors")  # W, B, W_pg and W_gp; gn.Network.load reads it
