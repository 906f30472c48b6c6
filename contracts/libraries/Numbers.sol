// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";

/// @title Lists of small numbers as bytes
/// @notice Three bytes a number, big-endian: a list of them costs an event a tenth of what an array of words does.
library Numbers {
    using DynamicArrayLib for uint256[];

    /// @notice Room for `count` numbers.
    function room(uint256 count) internal pure returns (bytes memory made) {
        made = new bytes(3 * count + 29); // `set` writes whole words
        assembly ("memory-safe") {
            mstore(made, mul(3, count)) // its length: gives nothing back
        }
    }

    /// @notice Numbers below 2^24 as a list.
    function list(uint256[] memory numbers) internal pure returns (bytes memory made) {
        made = room(numbers.length);
        unchecked {
            for (uint256 i = 0; i < numbers.length; ++i) set(made, i, numbers.get(i)); // safe: within
        }
    }

    /// @notice Puts a number below 2^24 at an index below `count`. In ascending order: what follows is overwritten.
    function set(bytes memory into, uint256 index, uint256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(into, 0x20), mul(3, index)), shl(232, value))
        }
    }
}
