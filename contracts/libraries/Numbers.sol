// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Lists of small numbers as bytes
/// @notice Three bytes a number, big-endian: a list of them costs an event a tenth of what an array of words does.
library Numbers {
    /// @notice Room for `count` numbers.
    function room(uint256 count) internal pure returns (bytes memory list) {
        list = new bytes(3 * count + 29); // `set` writes whole words
        assembly ("memory-safe") {
            mstore(list, mul(3, count)) // its length: gives nothing back
        }
    }

    /// @notice Puts a number below 2^24 at an index below `count`. In ascending order: what follows is overwritten.
    function set(bytes memory list, uint256 index, uint256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(list, 0x20), mul(3, index)), shl(232, value))
        }
    }
}
