// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";

import {IFederation} from "./IFederation.sol";

/// @title Where federations are deployed and found
/// @notice Deploys a federation at an address that is known beforehand and says so in an event; so a chain needs no
/// deployer of its own for that, and whoever looks for federations reads this contract's log. It stores nothing and
/// vouches for nobody: what was announced is a contract that says it has this manifest, no more. Who joins one
/// compares its code with the published one.
contract FederationRegistry {
    event FederationAnnounced(
        address indexed federation,
        address indexed deployer,
        bytes32 manifest
    );

    error EmptyInitcode();

    /// @notice Deploy a contract from `initcode` (creation code and constructor arguments) and announce it.
    /// The address depends on the caller, so nobody can take it first; the same salt and code can be used once.
    /// Reverts with the constructor's own error; with `FailedDeployment` if the address is taken; without data if
    /// what was deployed is no federation.
    function deploy(bytes32 salt, bytes calldata initcode) external returns (address federation) {
        if (initcode.length == 0) revert EmptyInitcode();
        federation = Create2.deploy(0, _saltOf(msg.sender, salt), initcode);
        emit FederationAnnounced(
            federation,
            msg.sender,
            IFederation(federation).genesis().manifest
        );
    }

    /// @notice Where `deploy` called by `deployer` puts a contract.
    function addressOf(
        address deployer,
        bytes32 salt,
        bytes32 initcodeHash
    ) external view returns (address) {
        return Create2.computeAddress(_saltOf(deployer, salt), initcodeHash);
    }

    function _saltOf(address deployer, bytes32 salt) private pure returns (bytes32) {
        return keccak256(abi.encode(deployer, salt));
    }
}
