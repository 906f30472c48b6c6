// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {LibBit} from "solady/src/utils/LibBit.sol";

/// @title A validator's scores of a window and its keep vote, in one word
/// @notice Scores are 16 big-endian int16 lanes, update 0 in the top lane: real within [-10000, 9990], or one of the
/// codes -32768 (unavailable or copy) and -32767 (malformed).
/// @dev A real score needs 15 bits, so its top two bits are equal. In a code they are 10; packed, they become 11, at
/// values (-16384, -16383) that no real score has. That frees the top bit of each lane: the first five, from lane
/// 0 on, hold the keep vote, most significant bit first, and the next six one more than the validator's seat.
library Scores {
    uint256 private constant ONES =
        0x0001000100010001000100010001000100010001000100010001000100010001;
    uint256 private constant TOPS = ONES << 15;
    uint256 private constant SEAT = (TOPS >> 80) & ~(TOPS >> 176); // of lanes 5 to 10
    /// @dev The even lanes with 16 bits of room above each.
    uint256 private constant EVEN =
        0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
    uint256 private constant EVEN_ONES =
        0x0000000100000001000000010000000100000001000000010000000100000001;
    uint256 private constant CARRIES = EVEN_ONES << 16;

    int256 internal constant LOWEST = -10_000;
    int256 internal constant HIGHEST = 9_990;
    int256 internal constant UNAVAILABLE = -32_768;
    int256 internal constant MALFORMED = -32_767;

    /// @notice The score in a lane.
    function scoreAt(bytes32 scores, uint256 index) internal pure returns (int16) {
        return int16(uint16(uint256(scores) >> (240 - 16 * index)));
    }

    /// @notice Whether every lane is a real score or a code (lanes of zero are real), and if not, the first that is
    /// neither.
    function firstInvalid(bytes32 scores) internal pure returns (uint256 index, bool isValid) {
        uint256 lifted = uint256(scores) ^ TOPS; // order as unsigned: -32768 is 0
        uint256 invalid = _invalid(lifted & EVEN) | (_invalid((lifted >> 16) & EVEN) << 16);
        return invalid == 0 ? (0, true) : ((255 - LibBit.fls(invalid)) / 16, false);
    }

    /// @dev The lanes that are neither, by their bottom bit. Each lane has 16 bits of room, into which a comparison
    /// carries its outcome.
    function _invalid(uint256 lanes) private pure returns (uint256) {
        unchecked {
            // Safe: a lane is below 2^16, so no sum or difference below leaves its 32 bits.
            uint256 notBelow = lanes + (0x10000 - 22_768) * EVEN_ONES; // carries from -10000 on
            uint256 notAbove = (CARRIES | (42_758 * EVEN_ONES)) - lanes; // keeps the carry up to 9990
            uint256 code = (CARRIES | EVEN_ONES) - lanes; // keeps the carry up to -32767
            return (~((notBelow & notAbove) | code) & CARRIES) >> 16;
        }
    }

    /// @notice A word with a number below 64 in the top bits of lanes 5 to 10, the seat's.
    function withSeat(bytes32 word, uint256 seat) internal pure returns (bytes32) {
        uint256 tops =
            (seat & 1) |
                ((seat & 2) << 15) |
                ((seat & 4) << 30) |
                ((seat & 8) << 45) |
                ((seat & 16) << 60) |
                ((seat & 32) << 75);
        return withoutSeat(word) | bytes32(tops << 95);
    }

    function withoutSeat(bytes32 word) internal pure returns (bytes32) {
        return word & bytes32(~SEAT);
    }

    function seatOf(bytes32 word) internal pure returns (uint256) {
        uint256 tops = uint256(word) >> 95;
        return
            (tops & 1) |
            ((tops >> 15) & 2) |
            ((tops >> 30) & 4) |
            ((tops >> 45) & 8) |
            ((tops >> 60) & 16) |
            ((tops >> 75) & 32);
    }

    /// @notice Valid scores and a keep vote below 32 in one word.
    function pack(bytes32 scores, uint256 keep) internal pure returns (bytes32) {
        uint256 word = uint256(scores);
        word |= (word & ~(word << 1) & TOPS) >> 1; // codes: 10 becomes 11
        uint256 tops =
            (keep & 1) |
                ((keep & 2) << 15) |
                ((keep & 4) << 30) |
                ((keep & 8) << 45) |
                ((keep & 16) << 60);
        return bytes32((word & ~TOPS) | (tops << 191)); // the top bits of lanes 0 to 4
    }

    /// @notice What `pack` packed.
    function unpack(bytes32 packed) internal pure returns (bytes32 scores, uint256 keep) {
        uint256 word = uint256(packed);
        uint256 tops = word >> 191; // the last bit is that of lane 4, and each lane is 16 bits higher
        keep =
            (tops & 1) |
            ((tops >> 15) & 2) |
            ((tops >> 30) & 4) |
            ((tops >> 45) & 8) |
            ((tops >> 60) & 16);
        word = (word & ~TOPS) | ((word << 1) & TOPS); // the sign, from the bit below
        // Codes are the lanes whose bits 15 to 12 are 1100: real negative ones have bit 13 or 12 set.
        uint256 codes = word & ~(word << 2) & ~(word << 3) & TOPS;
        scores = bytes32(word & ~(codes >> 1));
    }
}
