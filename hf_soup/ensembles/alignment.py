"""Which output of which member speaks for which class: by the names in `id2label`, never by position.

Heads of one logit and of several are mixed: the logit z of the former becomes (0, z), so that its softmax is its sigmoid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hf_soup.checkpoints import Checkpoint
from hf_soup.ensembles.member import FunctionMember, Member, ModelMember
from hf_soup.errors import InputError
from hf_soup.evaluation.labels import LabelMap, class_names, match_labels
from hf_soup.evaluation.task import Task

Labels = Mapping[str, str | Mapping[str, str]]
"""What models call the classes, {"LABEL_0": "negative"}: for all of them, or by member, {"me/a": {"LABEL_0": "negative"}}."""


def with_labels(members: Sequence[Member], labels: Labels) -> list[Member]:
    """Returns the members with what their classes are called; each takes those names that it has.

    Raises InputError for a member that is not there, and a name that no model has.
    """
    own = {name: names for name, names in labels.items() if not isinstance(names, str)}
    shared = {name: meaning for name, meaning in labels.items() if isinstance(meaning, str)}
    problems = [
        f"labels: there is no member '{name}'; the members: {', '.join(member.name for member in members)}."
        for name in sorted(set(own) - {member.name for member in members})
    ]
    known: set[str] = set()
    found: list[Member] = []
    for member in members:
        if isinstance(member, FunctionMember):
            found.append(member)
            continue
        has = set(class_names(member.checkpoint.config))
        known |= has
        called = {name: meaning for name, meaning in shared.items() if name in has} | dict(own.get(member.name, {}))
        if unknown := sorted(set(called) - has):
            problems.append(f"labels: {member.label} has no class {', '.join(unknown)}; {_classes_of(member)}.")
        found.append(ModelMember(member.name, member.checkpoint, called))
    if strange := sorted(set(shared) - known):
        models = [f"{each.label}: {_classes_of(each)}" for each in found if isinstance(each, ModelMember)]
        problems.append(f"labels: no member has a class {', '.join(strange)}. {'; '.join(models)}.")
    if problems:
        raise InputError(problems)
    return found


def refuse_other_tasks(members: Sequence[Member], task: Task) -> None:
    """Raises InputError for models whose config.json names a class for another task; reads no weights."""
    wanted = task.auto_class.removeprefix("AutoModel")
    problems = []
    for member in members:
        named = (member.checkpoint.config.get("architectures") or [""])[0] if isinstance(member, ModelMember) else ""
        if "For" in named and wanted not in named:
            problems.append(f"{member.label}: is a {named}; an ensemble for {task.name} needs models {wanted}.")
    if problems:
        raise InputError(problems)


def aligned_classes(members: Sequence[Member], found: Sequence[str] | None, data: str) -> tuple[str, ...]:
    """Returns the classes of the ensemble, in their order: numbers, then texts, sorted.

    `found`: the labels in `data`, one a row; None where they are not known. Raises InputError, with both maps and the `labels`
    that would help, for all members whose classes do not match the data or each other.
    """
    problems: list[str] = []
    maps: dict[str, LabelMap] = {}
    models = [member for member in members if isinstance(member, ModelMember)]
    one_logit = [model for model in models if len(class_names(model.checkpoint.config)) == 1]
    for model in models:
        if model not in one_logit:
            try:
                maps[model.name] = _matched(model, found or (), data)
            except InputError as error:
                problems += error.problems
    reference = next((model for model in models if model.name in maps), None)
    given = next((each.classes for each in members if isinstance(each, FunctionMember) and each.classes), None)
    classes = maps[reference.name].classes if reference is not None else _of_labels(found or given)
    for model in models:
        if model.name in maps and reference is not None and set(maps[model.name].classes) != set(classes):
            problems.append(_apart(reference, model))
    if not classes and not problems:
        problems.append(
            f"{data}: which classes there are is said neither by the members nor by labels; give rows with labels."
        )
    if classes:
        problems += _misnamed(one_logit, members, classes, data)
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    return classes


def label_map(member: ModelMember, classes: Sequence[str]) -> LabelMap:
    """How a model's logits belong to the classes of an ensemble. Raises InputError where they do not match."""
    found = _matched(member, classes, "the ensemble")
    if found.classes != tuple(classes):
        raise InputError(
            f"{member.label}: its classes are {', '.join(found.classes)}, those of the ensemble {', '.join(classes)}."
        )
    return found


def _matched(member: ModelMember, labels: Sequence[str], data: str) -> LabelMap:
    return match_labels(labels, member.checkpoint.config, member.called, data, member.label)


def _of_labels(labels: Sequence[str] | None) -> tuple[str, ...]:
    """Sorted as `match_labels` sorts the classes of a model."""
    names = sorted(set(labels or ()))
    if not names:
        return ()
    return match_labels(names, {"id2label": dict(enumerate(names))}, None, "", "").classes


def _misnamed(
    one_logit: Sequence[ModelMember], members: Sequence[Member], classes: tuple[str, ...], data: str
) -> list[str]:
    problems: list[str] = []
    for model in one_logit:
        try:
            _matched(model, classes, data)
        except InputError as error:
            problems += error.problems
    for member in members:
        if isinstance(member, FunctionMember) and member.classes and set(member.classes) != set(classes):
            problems.append(
                f"{member.label}: its classes are {', '.join(member.classes)}, those of the ensemble {', '.join(classes)}; say them "
                "by the same names in FunctionMember(classes=…)."
            )
    return problems


def _apart(first: ModelMember, other: ModelMember) -> str:
    """Both maps, and the `labels` that would make them one where the numbers of classes agree."""
    message = f"{first.label} and {other.label} have other classes. {_classes_of(first)}; {_classes_of(other)}."
    mine, others = (_called(first.checkpoint, first.called), _called(other.checkpoint, other.called))
    if len(mine) != len(others):
        return f"{message} They are for different questions; leave one of them out."
    names = class_names(other.checkpoint.config)
    free = [name for name in mine if name not in others]
    pairs = {name: free.pop(0) for name, called in zip(names, others, strict=True) if called not in mine}
    option = ",".join(f"{name}={meaning}" for name, meaning in pairs.items())
    return f"{message} If that is what they mean: --labels {option} (labels={{'{other.name}': {pairs}}})."


def _classes_of(member: ModelMember) -> str:
    called = _called(member.checkpoint, member.called)
    return f"classes of {member.name}: {', '.join(f'{index}={name}' for index, name in enumerate(called))}"


def _called(checkpoint: Checkpoint, names: Mapping[str, str]) -> list[str]:
    return [names.get(name, name) for name in class_names(checkpoint.config)]
