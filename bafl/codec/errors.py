"""Why a payload is refused; every case is a `PayloadError`.

    PayloadError
    ├── PayloadTooLarge          more bytes than the manifest's size limit
    ├── TruncatedPayload         fewer bytes than its header announces
    ├── TrailingBytes            more bytes than its header announces
    ├── HeaderError
    │   ├── OversizeHeader       a header longer than this payload's can be
    │   ├── MalformedHeader      not a safetensors header of this project
    │   ├── DuplicateHeaderKey   a key given twice
    │   ├── NonCanonicalHeader   right contents, another spelling
    │   ├── WrongKind            a model where an update is due, or the reverse
    │   └── UnboundHeader        of another chain, contract, author, base version or encoding
    ├── TensorError
    │   ├── MissingTensor
    │   ├── ExtraTensor
    │   ├── WrongDtype
    │   └── WrongShape
    ├── NonFiniteValue           NaN or infinity
    ├── NonCanonicalValue        -0, a subnormal, or a boolean other than 0 and 1
    ├── NonCanonicalBlock        a scale or byte that its encoder would have written otherwise
    ├── NonCanonicalEntry        a sparse entry that its encoder would have written otherwise
    └── EncodingRefused          an encoding that the manifest or this version does not allow

What a reader can do about any of them is the same: count the payload as malformed.
"""

from __future__ import annotations

from bafl.errors import PayloadError


class PayloadTooLarge(PayloadError):
    """More bytes than the manifest's size limit."""


class TruncatedPayload(PayloadError):
    """Fewer bytes than the header announces."""


class TrailingBytes(PayloadError):
    """More bytes than the header announces."""


class HeaderError(PayloadError):
    """A header that is not what this payload's must be."""


class OversizeHeader(HeaderError):
    """A header longer than this payload's can be; it is not read."""


class MalformedHeader(HeaderError):
    """Not a safetensors header of this project."""


class DuplicateHeaderKey(HeaderError):
    """A header that gives one key twice."""


class NonCanonicalHeader(HeaderError):
    """The right contents in another spelling, order or layout."""


class WrongKind(HeaderError):
    """A model where an update is due, or the reverse."""


class UnboundHeader(HeaderError):
    """An update made for another chain, contract, author, base version or encoding."""


class TensorError(PayloadError):
    """Tensors that are not the manifest's."""


class MissingTensor(TensorError):
    """A tensor of the manifest that the payload lacks."""


class ExtraTensor(TensorError):
    """A tensor that the manifest does not have."""


class WrongDtype(TensorError):
    """A tensor of another dtype than the manifest's."""


class WrongShape(TensorError):
    """A tensor of another shape than the manifest's."""


class NonFiniteValue(PayloadError):
    """NaN or infinity among the values."""


class NonCanonicalValue(PayloadError):
    """-0, a subnormal, or a boolean other than 0 and 1."""


class NonCanonicalBlock(PayloadError):
    """A block whose scale or bytes its encoder would have written otherwise."""


class NonCanonicalEntry(PayloadError):
    """A sparse block that gives a zero, a place twice, out of order, or past the tensor's end."""


class EncodingRefused(PayloadError):
    """An encoding that the manifest, or this version of BAFL, does not allow."""
