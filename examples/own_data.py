"""A network on arrays of your own, in one file: python examples/own_data.py

From the command line, after numpy.savez("digits.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test):
ghostnet train mb-100-tf --data digits.npz --sizes 64 30 2 --epochs 1
"""

import numpy as np

import ghostnet as gn


def threes_and_sevens(part):
    """Two classes of MNIST as images of 8 × 8 floats from 0 to 1, and what each of them is called."""
    digits, numbers = mnist.part(part)
    chosen = np.isin(numbers, (3, 7))
    whole = digits[chosen].reshape(-1, 28, 28)[:, 2:26, 2:26] / 255
    return whole.reshape(-1, 8, 3, 8, 3).mean(axis=(2, 4)), np.where(numbers[chosen] == 3, "three", "seven")


mnist = gn.dataset("mnist")
x, y = threes_and_sevens("train")
x_test, y_test = threes_and_sevens("test")
own = gn.dataset(x, y, x_test, y_test)  # tensors and lists will do, too; output c is for the label own.labels[c]

if __name__ == "__main__":
    exp = gn.preset("mb-100", feedback="TF", sizes=(64, 30, 2), train_examples=None, epochs=1)
    run = gn.train(exp, data=own)
    said = np.array(own.labels)[run.network.predict(x_test[:8])[0]]  # of run 0
    print(f"{100 * run.metrics[-1]['test_accuracy']:.1f} % of the test images after an epoch")
    print(*(f"{a} ({b})" for a, b in zip(said, y_test, strict=False)), sep="   ")
