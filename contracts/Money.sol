// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IFederation} from "./IFederation.sol";

/// @title The only place where money crosses the contract's border
/// @notice The chain's native currency, or one ERC-20 token, for good. A federation knows money by `taking` and `_pay`
/// alone. What crosses is accounted by the caller, before it crosses: both end with the call to outside.
abstract contract Money {
    using SafeERC20 for IERC20;

    /// @dev Zero: native.
    IERC20 internal immutable CURRENCY;

    constructor(address currency) {
        if (currency != address(0) && currency.code.length == 0) {
            revert IFederation.NoSuchCurrency(currency);
        }
        CURRENCY = IERC20(currency);
    }

    /// @dev Around all that is done for `amount` of the caller's: exactly that comes in, or nothing is done.
    /// Others' code runs at the end: to be used together with `nonReentrant`.
    modifier taking(uint256 amount) {
        _requireValue(amount);
        _;
        _collect(amount);
    }

    /// @dev A token's amount may be anything: it is kept from overflowing sums.
    function _requireValue(uint256 amount) private {
        uint256 expected = _isNative() ? amount : 0;
        if (msg.value != expected) revert IFederation.WrongAmount(msg.value, expected);
        if (amount > type(uint128).max) {
            revert IFederation.AmountTooLarge(amount, type(uint128).max);
        }
    }

    function _collect(uint256 amount) private {
        if (_isNative()) return;
        uint256 before = _balance();
        CURRENCY.safeTransferFrom(msg.sender, address(this), amount);
        _requireMoved(before, _balance(), amount);
    }

    /// @dev Pays out. The recipient's code runs: nothing may be left to do after it.
    function _pay(address to, uint256 amount) internal {
        if (_isNative()) {
            (bool success, ) = to.call{value: amount}("");
            if (!success) revert IFederation.TransferFailed(to, amount);
        } else {
            uint256 before = _balance();
            CURRENCY.safeTransfer(to, amount);
            _requireMoved(_balance(), before, amount);
        }
    }

    function _isNative() private view returns (bool) {
        return address(CURRENCY) == address(0);
    }

    function _balance() private view returns (uint256) {
        return CURRENCY.balanceOf(address(this));
    }

    function _requireMoved(uint256 less, uint256 more, uint256 amount) private pure {
        uint256 moved = Math.saturatingSub(more, less);
        if (moved != amount) revert IFederation.WrongAmount(moved, amount);
    }
}
