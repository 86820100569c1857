"""Tasks that name a class for a clip: their training, and accuracy."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from secateur.ssl.options import head_training
from secateur.ssl.tasks import Data, Item, Result, Task
from secateur.ssl.tasks.fit import Examples, Fit
from secateur.ssl.tasks.heads import Pooled
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.metrics import accuracy, mean_accuracy

UNKNOWN = -1


def run(task: Task, data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """Train a `Pooled` head and measure accuracy: an item is right when all its labels are.

    With folds, a head is trained for each, and the accuracy is the mean over folds.
    `options`: projection, normalize, balance (whether classes count alike in the loss), balanced (whether they are
    drawn alike in training and in dev), training.
    """
    (metric,) = task.metrics
    outcomes = {}
    shares = []
    for number, items in enumerate(data.folds or [data.items]):
        name = f"{task.name}-{number}" if data.folds else task.name
        outcomes[name], head = _fold(name, items, data.crops, hidden, fit, options)
        shares.append(head.sum.shares())
    if data.folds:
        value = mean_accuracy(list(outcomes.values()), fit.resampling)
    else:
        value = accuracy(outcomes[task.name], fit.resampling)
    return Result({metric.name: value}, {"layer_shares": shares if data.folds else shares[0]})


def _fold(
    name: str,
    items: Mapping[str, Sequence[Item]],
    crops: Mapping[str, float],
    hidden: Hidden,
    fit: Fit,
    options: Mapping[str, Any],
) -> tuple[list[int], Pooled]:
    """Train on one set of splits; which test items are right (1 or 0), and the head."""
    classes = [sorted(labels) for labels in map(set, zip(*(item.target for item in items["train"]), strict=True))]
    places = [{label: index for index, label in enumerate(slot)} for slot in classes]

    def encode(item: Item, frames: int) -> dict[str, torch.Tensor]:
        labels = [place.get(label, UNKNOWN) for place, label in zip(places, item.target, strict=True)]
        return {"labels": torch.tensor(labels)}

    # A class that training has not seen cannot be learned, and gives no loss on dev; in the test it counts as wrong.
    known = [item for item in items["dev"] if UNKNOWN not in encode(item, 0)["labels"]]
    examples = []
    for split, members in (("train", items["train"]), ("dev", known)):
        drawn = {item.id: str(item.target) for item in members} if options.get("balanced") else None
        examples.append(Examples(hidden, members, encode, True, crops.get(split), drawn))
    layers, width = hidden.shape(items["train"][0].clip)
    weights = None
    if options["balance"]:
        totals = [Counter(item.target[slot] for item in items["train"]) for slot in range(len(classes))]
        weights = [
            torch.tensor([len(items["train"]) / (len(slot) * total[label]) for label in slot])
            for slot, total in zip(classes, totals, strict=True)
        ]
    make = partial(Pooled, layers, width, list(map(len, classes)), options["projection"], options["normalize"], weights)
    head = fit(name, make, *examples, head_training(options))
    test = Examples(hidden, items["test"], encode, pooled=True)
    right = []
    for keys in test.batches(512):
        tensors = test.load(keys).tensors
        guesses = head.predict(tensors["hidden"].to(fit.device)).cpu()
        right += (guesses == tensors["labels"]).all(1).int().tolist()
    return right, head


def majority(items: Mapping[str, Sequence[Item]]) -> float:
    """Accuracy on the test set, in percent, of always naming the most frequent class of train."""
    (label, _), *_ = Counter(item.target for item in items["train"]).most_common(1)
    return 100 * sum(item.target == label for item in items["test"]) / len(items["test"])
