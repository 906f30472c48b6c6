// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

/// @title Tokens that a federation may meet, at their best and at their worst
/// @notice Each does what it is named for once it is told to, so that a federation can be full of life before.

/// @notice Six decimals, and nothing odd.
contract PlainToken is ERC20 {
    constructor() ERC20("Plain token", "PLAIN") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }
}

/// @notice Takes a part of what is transferred: from what arrives, or from the sender, on top of it.
contract FeeToken is PlainToken {
    uint256 public feePpm;
    bool public isOnTop;

    function setFee(uint256 ppm, bool onTop) external {
        (feePpm, isOnTop) = (ppm, onTop);
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : (value * feePpm) / 1e6;
        super._update(from, to, isOnTop ? value : value - fee);
        if (fee != 0) super._update(from, address(0xFEE), fee);
    }
}

/// @notice Says false where others revert.
contract RefusingToken is PlainToken {
    bool public isRefusing;

    function refuse() external {
        isRefusing = true;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return !isRefusing && super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return !isRefusing && super.transferFrom(from, to, value);
    }
}

/// @notice Returns nothing, as some of the oldest and largest do.
contract SilentToken {
    error TooLittle();

    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        if (allowance[from][msg.sender] < amount) revert TooLittle();
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        if (balanceOf[from] < amount) revert TooLittle();
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice Lets others' balances grow and shrink: they are shares of a whole, rounded down.
contract RebasingToken {
    uint256 public index = 1e18; // what a share is worth
    mapping(address => uint256) public shares;
    mapping(address => mapping(address => uint256)) public allowance;

    function rebase(uint256 to) external {
        index = to;
    }

    function mint(address to, uint256 amount) external {
        shares[to] += _sharesOf(amount);
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        shares[msg.sender] -= _sharesOf(amount);
        shares[to] += _sharesOf(amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        shares[from] -= _sharesOf(amount);
        shares[to] += _sharesOf(amount);
        return true;
    }

    function balanceOf(address who) external view returns (uint256) {
        return (shares[who] * index) / 1e18;
    }

    function _sharesOf(uint256 amount) private view returns (uint256) {
        return (amount * 1e18) / index;
    }
}

/// @notice Who has registered hears of each transfer, before it gives and after it gets (as with ERC-777).
interface IHeir {
    function onMove(address from, address to, uint256 amount) external;
}

contract HookedToken is PlainToken {
    mapping(address => bool) public isRegistered;

    function register(address heir) external {
        isRegistered[heir] = true;
    }

    function _update(address from, address to, uint256 value) internal override {
        bool isPayment = from != address(0);
        if (isPayment && isRegistered[from]) IHeir(from).onMove(from, to, value);
        super._update(from, to, value);
        if (isPayment && isRegistered[to]) IHeir(to).onMove(from, to, value);
    }
}

/// @notice Anybody stops it, and lets it go on; new money can be made meanwhile.
contract PausableToken is PlainToken, Pausable {
    function pause() external {
        _pause();
    }

    function unpause() external {
        _unpause();
    }

    function _update(address from, address to, uint256 value) internal override {
        if (from != address(0)) _requireNotPaused();
        super._update(from, to, value);
    }
}
