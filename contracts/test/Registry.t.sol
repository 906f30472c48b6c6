// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";

import {FederationRegistry} from "../FederationRegistry.sol";
import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract RegistryTest is Setup {
    bytes32 private constant SALT = keccak256("salt");
    FederationRegistry private _registry;
    bytes private _initcode;

    function setUp() public {
        (owner, ownerKey) = actor("owner");
        _registry = FederationRegistry(create("FederationRegistry.sol:FederationRegistry", ""));
        _initcode = bytes.concat(
            vm.getCode("Federation.sol:Federation"),
            abi.encode(owner, lens, usualGenesis(), usual())
        );
    }

    /// @dev EIP-1014, with a salt that belongs to the deployer.
    function _predict(address deployer, bytes32 salt) private view returns (address) {
        bytes32 own = keccak256(abi.encode(deployer, salt));
        bytes memory all = abi.encodePacked(hex"ff", address(_registry), own, keccak256(_initcode));
        return address(uint160(uint256(keccak256(all))));
    }

    function test_deploy_announcesAFederationWhereItWasForetold() public {
        address predicted = _predict(address(this), SALT);
        vm.assertEq(_registry.addressOf(address(this), SALT, keccak256(_initcode)), predicted);
        vm.expectEmit(address(_registry));
        emit FederationRegistry.FederationAnnounced(
            predicted,
            address(this),
            usualGenesis().manifest
        );
        address deployed = _registry.deploy(SALT, _initcode);
        vm.assertEq(deployed, predicted);
        vm.assertEq(IFederation(deployed).owner(), owner, "not the registry");
        vm.assertEq(IFederation(deployed).genesis().model, usualGenesis().model);
    }

    function test_deploy_cannotBeSquatted() public {
        address mine = _predict(address(this), SALT);
        vm.prank(address(0xBAD));
        address theirs = _registry.deploy(SALT, _initcode);
        vm.assertNotEq(theirs, mine);
        vm.assertEq(_registry.deploy(SALT, _initcode), mine);
    }

    function test_deploy_refusesASecondTime() public {
        _registry.deploy(SALT, _initcode);
        vm.expectRevert(Errors.FailedDeployment.selector);
        _registry.deploy(SALT, _initcode);
        _registry.deploy(keccak256("another"), _initcode);
    }

    function test_deploy_refusesNoCode() public {
        vm.expectRevert(FederationRegistry.EmptyInitcode.selector);
        _registry.deploy(SALT, "");
    }

    /// Initcode that leaves no code (STOP), and one that leaves another contract than a federation.
    function test_deploy_refusesWhatIsNoFederation() public {
        vm.expectRevert();
        _registry.deploy(SALT, hex"00");
        bytes memory other = vm.getCode("FederationRegistry.sol:FederationRegistry");
        vm.expectRevert();
        _registry.deploy(SALT, other);
    }

    function test_deploy_passesOnTheConstructorsError() public {
        IFederation.Parameters memory p = usual();
        p.slashPpm = 20_001;
        bytes memory initcode = bytes.concat(
            vm.getCode("Federation.sol:Federation"),
            abi.encode(owner, lens, usualGenesis(), p)
        );
        vm.expectRevert(
            abi.encodeWithSelector(
                IFederation.ParameterOutOfRange.selector,
                "slashPpm",
                int256(20_001),
                int256(0),
                int256(20_000)
            )
        );
        _registry.deploy(SALT, initcode);
    }
}
