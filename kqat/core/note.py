"""What a report says besides its figures."""


class Note(str):
    """Something that a reader of a report should know: a text that says as data what it is about.

    Attributes:
        layer: Name of the layer, input or output; `""` for the whole file.
        kind: `"float"` for a layer in float, `"float kernel"` for float between exact borders, `"manual"` for
            a layer with quantizers of its own, `"weights"` for weights of few bits in a float kernel,
            `"type"` for an input or output that keeps its type; `""` for anything else.

    Threads: may share it; nothing changes it.

    Example:
        >>> note = Note.of("head", "float", "float")
        >>> note, note.layer
        ('head: float', 'head')
    """

    layer: str
    kind: str

    def __new__(cls, text: str, layer: str = "", kind: str = ""):
        note = super().__new__(cls, text)
        note.layer, note.kind = layer, kind
        return note

    @classmethod
    def of(cls, layer: str, text: str, kind: str = "") -> "Note":
        """Returns a note that begins with the name of the layer that it is about."""
        return cls(f"{layer}: {text}", layer, kind)

    def __reduce__(self):
        return Note, (str(self), self.layer, self.kind)
