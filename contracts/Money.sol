// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IFederation} from "./IFederation.sol";

/// @title The only place where money crosses the contract's border
/// @notice The chain's native currency. A federation knows money by these two functions alone, so that one with
/// another currency differs in this file only. What crosses is accounted by the caller, before `_pay`.
abstract contract Money {
    /// @dev Takes exactly `amount` from the caller, or reverts.
    function _take(uint256 amount) internal {
        if (msg.value != amount) revert IFederation.WrongAmount(msg.value, amount);
    }

    /// @dev Pays out. The recipient's code runs: nothing may be left to do after it.
    function _pay(address to, uint256 amount) internal {
        (bool success, ) = to.call{value: amount}("");
        if (!success) revert IFederation.TransferFailed(to, amount);
    }
}
