"""The chart of the demo: accuracy and size by bits."""

import matplotlib

matplotlib.use("Agg")  # draws into a file, also where there is no display

from matplotlib import pyplot as plt

ACCURACY, SIZE = "#2a6f97", "#e07a5f"


def accuracy_and_size(rows, path, title):
    """Draws top-1 and size of every row, side by side, into a PNG file.

    Args:
        rows: Dicts with `name`, `keras`, `bytes` and, where there is a file, `tflite` and `packed`, the bytes
            of the packed file.
        path: File to write.
        title: Title of the chart.
    """
    names = [row["name"] for row in rows]
    accuracies = [100 * row.get("tflite", row["keras"]) for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
    left.plot(names, accuracies, "o-", color=ACCURACY)
    for name, value in zip(names, accuracies, strict=True):
        left.annotate(f"{value:.2f}", (name, value), (0, 8), textcoords="offset points", ha="center")
    # The whole scale from 0 would hide differences of tenths; at least 2 points keep noise small.
    spread = max(max(accuracies) - min(accuracies), 2.0)
    left.set_ylim(min(accuracies) - 0.5 * spread, max(accuracies) + 0.5 * spread)
    left.set_title("top-1, %")
    sizes = [row.get("packed", row["bytes"]) / 1024 for row in rows]
    bars = right.bar(names, sizes, width=0.6, color=SIZE)
    right.bar_label(bars, fmt="%.0f", padding=2)
    right.margins(y=0.15)
    right.set_title("size, packed, KiB")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.1)
    figure.suptitle(title)
    figure.savefig(path, dpi=150)
    plt.close(figure)
