// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title CIDs as text
/// @notice A CIDv1 of a sha2-256 digest in lower-case base32, as `ipfs` prints it: 'b' (multibase), then
/// base32 without padding (RFC 4648) of 0x01 (version), the codec, 0x12 (sha2-256), 0x20 (32 bytes) and
/// the digest.
library Cid {
    /// @dev The varint of a codec of 0x80 or more takes two bytes; the protocol knows 0x55 and 0x70 only.
    error CodecTooLarge(uint8 codec, uint8 maximum);

    bytes32 private constant ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

    /// @notice The CID of the block with this digest; 59 characters.
    function toString(bytes32 digest, uint8 codec) internal pure returns (string memory) {
        if (codec > 0x7f) revert CodecTooLarge(codec, 0x7f);
        // 36 bytes are 288 bits: 57 digits of five bits and one of three, filled up with zeros.
        uint256 head = (uint256(0x01) << 24) | (uint256(codec) << 16) | 0x1220;
        uint256 body = uint256(digest);
        bytes memory text = new bytes(59);
        text[0] = "b";
        unchecked {
            // Safe: i <= 58. The first six digits are the head's, the seventh takes 2 bits of it and 3
            // of the digest, and 253 bits are left for 51 digits, the last with two zeros.
            for (uint256 i = 0; i < 6; ++i) text[i + 1] = ALPHABET[(head >> (27 - 5 * i)) & 31];
            text[7] = ALPHABET[((head << 3) | (body >> 253)) & 31];
            for (uint256 i = 0; i < 50; ++i) text[i + 8] = ALPHABET[(body >> (248 - 5 * i)) & 31];
            text[58] = ALPHABET[(body << 2) & 31];
        }
        return string(text);
    }
}
