// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Federation} from "../Federation.sol";
import {FederationLens} from "../FederationLens.sol";
import {IFederation} from "../IFederation.sol";
import {Test} from "./Vm.sol";

/// @title Base of the federation's suites
/// @notice A federation, its people, and a window's life in steps. Validators v0, v1, … sit in seats 0, 1, …; trainers
/// t0, t1, … submit. Time is read back with `clock()`, for the optimizer may take `block.timestamp` to be constant.
abstract contract FederationTest is Test {
    uint8 internal constant TRAINER = 1;
    uint8 internal constant VALIDATOR = 2;
    uint8 internal constant RAW = 0x55;
    uint8 internal constant DAG_PB = 0x70;
    uint8 internal constant FLOAT32 = 0;
    bytes32 internal constant PROFILE = keccak256("profile");
    bytes32 internal constant MANIFEST = keccak256("manifest");
    bytes32 internal constant GENESIS = keccak256("genesis");
    bytes32 internal constant SALT = keccak256("salt");
    uint256 internal constant STAKE = 1 ether;

    IFederation.Parameters internal parameters;
    FederationLens internal lens;
    Federation internal federation;

    address internal owner;
    uint256 internal ownerKey;
    address internal treasury;
    address internal sink;
    address[] internal validators;
    address[] internal trainers;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        (owner, ownerKey) = actor("owner");
        (treasury, ) = actor("treasury");
        (sink, ) = actor("sink");
        vm.deal(owner, 1_000_000 ether);
        lens = new FederationLens();
        parameters = defaults();
        federation = create(parameters);
    }

    // ----- A federation and its people -----

    function defaults() internal view returns (IFederation.Parameters memory) {
        return
            IFederation.Parameters({
                windowSize: 4,
                minUpdates: 3,
                maxWait: 1 hours,
                commitPeriod: 10 minutes,
                revealPeriod: 10 minutes,
                attestPeriod: 10 minutes,
                maxStaleness: 4,
                minValidators: 4,
                rejectBelow: -600,
                slashPpm: 20_000,
                jailPeriod: 1 days,
                unbondingPeriod: 7 days,
                minStake: 1 ether,
                rewardRate: 0.01 ether,
                trustSamples: false,
                open: true,
                treasury: treasury,
                slashSink: sink
            });
    }

    function create(IFederation.Parameters memory p) internal returns (Federation) {
        return new Federation(owner, address(lens), IFederation.Genesis(MANIFEST, GENESIS, RAW), p);
    }

    /// @dev A federation with other parameters than `defaults`; set them in `parameters` before.
    function recreate() internal {
        federation = create(parameters);
    }

    function enter(address who, uint8 roles, uint256 stake) internal {
        vm.deal(who, who.balance + stake);
        vm.prank(who);
        federation.join{value: stake}(roles, PROFILE, stake);
    }

    function people(uint256 trainerCount, uint256 validatorCount) internal {
        for (uint256 i = 0; i < validatorCount; ++i) {
            (address who, ) = actor(string.concat("v", vm.toString(i)));
            validators.push(who);
            enter(who, VALIDATOR, STAKE);
        }
        for (uint256 i = 0; i < trainerCount; ++i) {
            (address who, ) = actor(string.concat("t", vm.toString(i)));
            trainers.push(who);
            enter(who, TRAINER, STAKE);
        }
    }

    function fundPool(uint256 amount) internal {
        vm.prank(owner);
        federation.fund{value: amount}(amount);
    }

    // ----- Time -----

    function clock() internal view returns (uint256) {
        return vm.getBlockTimestamp();
    }

    function skip(uint256 time) internal {
        vm.warp(clock() + time);
    }

    /// @dev To the last second of the phase of the window being judged.
    function toDeadline() internal {
        vm.warp(judged().deadline);
    }

    function pastDeadline() internal {
        vm.warp(uint256(judged().deadline) + 1);
    }

    // ----- What it says -----

    function head() internal view returns (IFederation.Head memory) {
        return federation.head();
    }

    function version() internal view returns (uint32) {
        return federation.head().version;
    }

    function judged() internal view returns (IFederation.Window memory) {
        return federation.window(federation.head().judgingWindow);
    }

    function personOf(address account) internal view returns (IFederation.Participant memory) {
        return federation.participant(account);
    }

    // ----- A window's life -----

    function root(uint256 n) internal pure returns (bytes32) {
        return keccak256(abi.encode("update", n));
    }

    function submit(address author, uint32 base) internal returns (uint256 updateId) {
        bytes32 digest = root(uint256(uint160(author)) + clock());
        vm.prank(author);
        return federation.submitUpdate(base, digest, RAW, FLOAT32, 100);
    }

    /// @dev A window of the first `count` trainers' updates on the latest version.
    function submitAll(uint256 count) internal {
        for (uint256 i = 0; i < count; ++i) submit(trainers[i], version());
    }

    function authors(uint256 count) internal view returns (address[] memory list) {
        list = new address[](count);
        for (uint256 i = 0; i < count; ++i) list[i] = trainers[i];
    }

    /// @dev `n` scores of 100, 90, 80, … bps.
    function goodScores(uint256 n) internal pure returns (bytes memory scores) {
        for (uint256 i = 0; i < n; ++i)
            scores = abi.encodePacked(scores, int16(int256(100 - 10 * i)));
    }

    function sameScores(uint256 n, int16 score) internal pure returns (bytes memory scores) {
        for (uint256 i = 0; i < n; ++i) scores = abi.encodePacked(scores, score);
    }

    function commitment(
        address validator,
        bytes memory scores,
        uint8 keep
    ) internal view returns (bytes32) {
        IFederation.Window memory w = judged();
        return
            keccak256(
                abi.encode(
                    block.chainid,
                    address(federation),
                    w.id,
                    w.tag,
                    validator,
                    scores,
                    keep,
                    SALT
                )
            );
    }

    function commit(address validator, bytes memory scores, uint8 keep) internal {
        IFederation.Window memory w = judged();
        bytes32 value = commitment(validator, scores, keep);
        vm.prank(validator);
        federation.commitScores(w.id, w.tag, value);
    }

    function reveal(address validator, bytes memory scores, uint8 keep) internal {
        IFederation.Window memory w = judged();
        vm.prank(validator);
        federation.revealScores(w.id, w.tag, scores, keep, SALT);
    }

    function attest(address validator, bytes32 digest) internal {
        IFederation.Window memory w = judged();
        vm.prank(validator);
        federation.attestModel(w.id, w.tag, digest, 0);
    }

    /// @dev All validators commit to and reveal the same.
    function scoreAll(bytes memory scores, uint8 keep) internal {
        for (uint256 i = 0; i < validators.length; ++i) commit(validators[i], scores, keep);
        for (uint256 i = 0; i < validators.length; ++i) reveal(validators[i], scores, keep);
    }

    function attestAll(bytes32 digest) internal {
        for (uint256 i = 0; i < validators.length; ++i) attest(validators[i], digest);
    }

    function tally() internal {
        IFederation.Window memory w = judged();
        federation.tally(w.id, authors(w.updates));
    }

    function model(uint256 n) internal pure returns (bytes32) {
        return keccak256(abi.encode("model", n));
    }

    /// @dev A window of the first four trainers from its first update to the next version.
    function makeVersion() internal {
        submitAll(4);
        scoreAll(goodScores(4), 4);
        tally();
        attestAll(model(version() + 1));
    }
}
