// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

/// @title A token that a federation's stakes and rewards may be in, as clients meet it
/// @notice ERC-20 with decimals and symbol, without which no client can read or write an amount. The contract itself
/// asks for balances and transfers only, and takes tokens that return false, or nothing. It refuses, transfer by
/// transfer, those that move another amount than asked. The errors are those that ERC-6093 proposes.
interface ICurrency is IERC20Metadata, IERC20Errors {}
