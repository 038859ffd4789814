"""Sets of tensors that share a grid."""

from kqat.transforms.nodes import Tensor


class Groups:
    """Sets of tensors that share a grid (union-find)."""

    def __init__(self):
        self._parent: dict[Tensor, Tensor] = {}

    def find(self, tensor: Tensor) -> Tensor:
        """Returns the representative of the set of `tensor`."""
        while (parent := self._parent.get(tensor, tensor)) != tensor:
            tensor = parent
        return tensor

    def join(self, a: Tensor, b: Tensor) -> None:
        """Puts two tensors into one set, represented by the earlier one."""
        first, second = sorted((self.find(a), self.find(b)), key=lambda t: t.id)
        self._parent[second] = first

    def sets(self, tensors) -> dict[Tensor, list[Tensor]]:
        """Returns the members of each set among `tensors`, by its representative."""
        members: dict[Tensor, list[Tensor]] = {}
        for tensor in tensors:
            members.setdefault(self.find(tensor), []).append(tensor)
        return members
