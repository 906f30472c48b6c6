// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "./Vm.sol";

/// @notice What tests ask of a token: ERC-20, whatever it returns, that anybody may mint.
interface Coin {
    function mint(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external;
    function allowance(address owner, address spender) external view returns (uint256);
    function balanceOf(address who) external view returns (uint256);
}

/// @title Purse: money in hand, of whatever currency
abstract contract Purse is Test {
    /// @notice Gives money, and with a token the leave to take exactly that.
    /// @return The value that has to come along with it.
    function endow(
        address currency,
        address payee,
        address who,
        uint256 amount
    ) internal returns (uint256) {
        if (amount == 0) return 0;
        if (currency == address(0)) {
            vm.deal(who, who.balance + amount);
            return amount;
        }
        Coin(currency).mint(who, amount);
        vm.prank(who);
        Coin(currency).approve(payee, amount);
        return 0;
    }

    function purseOf(address currency, address who) internal view returns (uint256) {
        return currency == address(0) ? who.balance : Coin(currency).balanceOf(who);
    }
}
