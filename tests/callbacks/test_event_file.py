"""Parity: TensorFlow reads back what is written, checksums included."""

from kqat.callbacks.event_file import EventFile, _checksum


def events(path):
    import tensorflow
    from tensorflow.core.util.event_pb2 import Event

    # Raises DataLossError on a wrong length or checksum.
    records = tensorflow.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return [Event.FromString(record) for record in records]


def test_tensorflow_reads_the_events(tmp_path):
    file = EventFile(tmp_path / "new" / "run")
    file.scalars({"a/scale": 0.5, "a/clip_rate": 0.0}, step=0)
    file.scalars({"a/scale": -1.25, "größe": float("inf")}, step=300)
    file.close()
    first, *rest = events(file.path)
    assert first.file_version == "brain.Event:2"
    assert [event.step for event in rest] == [0, 300]
    assert [{v.tag: v.simple_value for v in event.summary.value} for event in rest] == [
        {"a/scale": 0.5, "a/clip_rate": 0.0},
        {"a/scale": -1.25, "größe": float("inf")},
    ]
    assert rest[1].wall_time >= rest[0].wall_time > 1.6e9


def test_name_is_what_tensorboard_looks_for(tmp_path):
    one, other = EventFile(tmp_path), EventFile(tmp_path)
    one.close()
    other.close()
    assert ".tfevents." in one.path.name
    assert one.path != other.path


def test_values_are_on_disk_before_the_file_is_closed(tmp_path):
    file = EventFile(tmp_path)
    before = file.path.stat().st_size
    file.scalars({"a": 1.0}, step=0)
    assert file.path.stat().st_size > before
    file.close()


def test_checksum_of_a_published_vector():
    # RFC 3720, B.4: CRC-32C of 32 bytes of zeros is 8a9136aa; masked as TFRecord does.
    crc = 0x8A9136AA
    masked = ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF
    assert _checksum(bytes(32)) == masked.to_bytes(4, "little")
