// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title How reputations move
/// @notice Reputations are in ppm, within [0, 1e6]. All steps round toward zero movement, so none leaves the range.
library Reputation {
    int256 private constant PPM = 1e6;

    /// @dev Where one begins, and comes back to from jail.
    uint24 internal constant START = 300_000;
    /// @dev Below this one is jailed.
    uint24 internal constant JAIL = 150_000;

    /// @notice A trainer whose update was used and paid: 5 % of the way to one.
    function afterPaid(uint256 reputation) internal pure returns (uint24) {
        return _toward(reputation, PPM, 5);
    }

    /// @notice A trainer whose update was rejected or malformed: 20 % of the way to zero.
    function afterRejected(uint256 reputation) internal pure returns (uint24) {
        return _toward(reputation, 0, 20);
    }

    /// @notice A validator whose scores agree with the others' by `agreement`, in [-1e6, 1e6]: 5 % of the way to
    /// (1 + agreement) / 2.
    function afterAgreement(uint256 reputation, int256 agreement) internal pure returns (uint24) {
        return _toward(reputation, (PPM + agreement) / 2, 5);
    }

    /// @notice A validator that missed a window: nine tenths.
    function afterMissed(uint256 reputation) internal pure returns (uint24) {
        return _toward(reputation, 0, 10);
    }

    /// @dev `percent` of the way from `reputation` to `target`; the result lies between them, within uint24.
    function _toward(
        uint256 reputation,
        int256 target,
        int256 percent
    ) private pure returns (uint24) {
        unchecked {
            // Safe: both are in [0, 1e6] and percent is at most 20.
            int256 here = int256(reputation);
            return uint24(uint256(here + ((target - here) * percent) / 100));
        }
    }
}
