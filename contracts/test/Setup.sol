// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Purse} from "./Purse.sol";
import {Vm} from "./Vm.sol";

/// @title Setup: a federation to test, and hands that play its participants
/// @notice `deploy(usual())` makes a federation; `joinTrainers`, `joinValidators` fill it. Each step of
/// a window's life has one helper that does it for all, and one ending in `As` that does it for one:
/// submit, commit, reveal, tally, attest, settle. `runWindow()` is a whole life. What a validator will
/// say is set beforehand with `willScore`, `willKeep`; by default it likes all, the first best.
/// Helpers act on the window that is being judged and on the latest version.
/// @dev After a change of the contracts `hardhat build` comes before a run of single files: those compile
/// the tests alone, and take the contracts' artifacts as they find them.
abstract contract Setup is Purse {
    uint8 internal constant TRAINER = 1;
    uint8 internal constant VALIDATOR = 2;
    uint8 internal constant RAW = 0x55;
    uint8 internal constant DAG_PB = 0x70;
    uint96 internal constant STAKE = 0.1 ether; // the usual minimum
    uint32 internal constant START = 300_000; // where reputations begin
    int16 internal constant UNAVAILABLE = -32_768;
    int16 internal constant MALFORMED = -32_767;

    error NoSuchEvent(bytes32 topic);

    IFederation internal federation;
    address internal owner;
    uint256 internal ownerKey;
    address internal treasury = address(0x7EA5);
    address internal sink = address(0x51AC);
    address internal lens = address(0x1E45);

    address[] internal trainers; // as joined by `joinTrainers`
    address[] internal validators; // as joined by `joinValidators`: validators[i] sits on seat i

    mapping(address federation => mapping(uint256 window => address[])) private _authors;
    mapping(address validator => int16[]) private _scores;
    mapping(address validator => uint256) private _keepPlusOne;
    uint256 private _digests;

    // ----- Creation -----

    /// @notice The default parameters, with a small window, open to all.
    function usual() internal view returns (IFederation.Parameters memory) {
        return
            IFederation.Parameters({
                windowSize: 4,
                minUpdates: 3,
                maxWait: 1 hours,
                commitPeriod: 15 minutes,
                revealPeriod: 15 minutes,
                attestPeriod: 30 minutes,
                maxStaleness: 8,
                minValidators: 4,
                rejectBelow: -600,
                slashPpm: 20_000,
                jailPeriod: 1 days,
                unbondingPeriod: 7 days,
                minStake: STAKE,
                rewardRate: 0.001 ether,
                trustSamples: false,
                open: true,
                treasury: treasury,
                slashSink: sink,
                currency: address(0)
            });
    }

    /// @notice A window is one update, judged by direct reveals.
    function tiny() internal view returns (IFederation.Parameters memory parameters) {
        parameters = usual();
        parameters.windowSize = 1;
        parameters.minUpdates = 1;
        parameters.commitPeriod = 0;
    }

    function usualGenesis() internal pure returns (IFederation.Genesis memory) {
        return IFederation.Genesis(keccak256("manifest"), keccak256("genesis model"), DAG_PB);
    }

    /// @notice Nobody is in it yet.
    function deploy(IFederation.Parameters memory parameters) internal {
        if (owner == address(0)) (owner, ownerKey) = actor("owner");
        if (time() < 1_700_000_000) vm.warp(1_700_000_000);
        bytes memory arguments = abi.encode(owner, lens, usualGenesis(), parameters);
        federation = IFederation(create("Federation.sol:Federation", arguments));
        delete trainers;
        delete validators;
    }

    /// @notice Deploys an artifact, or reverts with its constructor's error. The suites hold no code of
    /// the contracts, so that changing a test compiles that test only.
    function create(
        string memory artifact,
        bytes memory arguments
    ) internal returns (address deployed) {
        bytes memory code = bytes.concat(vm.getCode(artifact), arguments);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
            if iszero(deployed) {
                returndatacopy(code, 0, returndatasize())
                revert(code, returndatasize())
            }
        }
    }

    /// @notice Whole windows can run: one trainer more than a window takes, and some validators.
    function deployRunning(IFederation.Parameters memory parameters, uint256 seats) internal {
        deploy(parameters);
        joinTrainers(uint256(parameters.windowSize) + 1);
        joinValidators(seats);
    }

    // ----- Membership -----

    function joinAs(address who, uint8 roles, uint256 stake) internal {
        uint256 value = endow(who, stake);
        vm.prank(who);
        federation.join{value: value}(roles, keccak256(abi.encode(who)), stake);
    }

    function joinTrainers(uint256 count) internal {
        for (uint256 i = 0; i < count; ++i) {
            (address who, ) = actor(string.concat("trainer ", vm.toString(trainers.length)));
            joinAs(who, TRAINER, federation.parameters().minStake);
            trainers.push(who);
        }
    }

    function joinValidators(uint256 count) internal {
        for (uint256 i = 0; i < count; ++i) joinValidator(federation.parameters().minStake);
    }

    function joinValidator(uint256 stake) internal returns (address who) {
        (who, ) = actor(string.concat("validator ", vm.toString(validators.length)));
        joinAs(who, VALIDATOR, stake);
        validators.push(who);
    }

    // ----- Owner -----

    function fund(uint256 amount) internal {
        uint256 value = endow(owner, amount);
        vm.prank(owner);
        federation.fund{value: value}(amount);
    }

    // ----- Money -----

    /// @notice Gives money of the federation's currency, and with a token the leave to take it.
    /// @return The value that has to come along with it.
    function endow(address who, uint256 amount) internal returns (uint256) {
        return endow(federation.parameters().currency, address(federation), who, amount);
    }

    function purseOf(address who) internal view returns (uint256) {
        return purseOf(federation.parameters().currency, who);
    }

    // ----- Time -----

    function time() internal view returns (uint256) {
        return vm.getBlockTimestamp();
    }

    function jump(uint256 elapsed) internal {
        vm.warp(time() + elapsed);
    }

    /// @notice To the first second after the deadline of the judged window's phase.
    function passDeadline() internal {
        vm.warp(uint256(judged().deadline) + 1);
    }

    // ----- Submission -----

    /// @notice A digest that was not used before.
    function newDigest() internal returns (bytes32) {
        return keccak256(abi.encode("update", ++_digests));
    }

    function submitAs(address who) internal returns (uint256) {
        return submitAs(who, federation.head().version, newDigest(), RAW, 100);
    }

    function submitAs(
        address who,
        uint32 base,
        bytes32 digest,
        uint8 codec,
        uint32 samples
    ) internal returns (uint256 updateId) {
        vm.prank(who);
        updateId = federation.submitUpdate(base, digest, codec, 1, samples);
        _authors[address(federation)][updateId / 16].push(who);
    }

    /// @notice The first trainers submit, each once, until the open window is sealed.
    function fillWindow() internal returns (uint32 window) {
        return fillWindowFrom(0);
    }

    /// @notice The same, beginning with another trainer than the first.
    function fillWindowFrom(uint256 first) internal returns (uint32 window) {
        window = federation.head().openWindow;
        for (uint256 i = first; federation.head().openWindow == window; ++i) submitAs(trainers[i]);
    }

    function authorsOf(uint256 window) internal view returns (address[] memory) {
        return _authors[address(federation)][window];
    }

    // ----- Scores -----

    /// @notice The window that is being judged, or would be next.
    function judged() internal view returns (IFederation.Window memory) {
        return federation.window(federation.head().judgingWindow);
    }

    function willScore(address validator, int16[] memory scores) internal {
        _scores[validator] = scores;
    }

    /// @notice All updates of a window of one get this score from all.
    function allWillScore(int16 score) internal {
        allWillScore(list(score));
    }

    function allWillScore(int16[] memory scores) internal {
        for (uint256 i = 0; i < validators.length; ++i) willScore(validators[i], scores);
    }

    function list(int16 a) internal pure returns (int16[] memory scores) {
        scores = new int16[](1);
        scores[0] = a;
    }

    function list(int16 a, int16 b, int16 c) internal pure returns (int16[] memory scores) {
        scores = new int16[](3);
        (scores[0], scores[1], scores[2]) = (a, b, c);
    }

    function list(
        int16 a,
        int16 b,
        int16 c,
        int16 d
    ) internal pure returns (int16[] memory scores) {
        scores = new int16[](4);
        (scores[0], scores[1], scores[2], scores[3]) = (a, b, c, d);
    }

    function willKeep(address validator, uint8 keep) internal {
        _keepPlusOne[validator] = uint256(keep) + 1;
    }

    function scoresOf(address validator, uint256 updates) internal view returns (bytes memory) {
        if (_scores[validator].length != 0) return encode(_scores[validator]);
        int16[] memory scores = new int16[](updates);
        for (uint256 i = 0; i < updates; ++i) scores[i] = int16(int256(100 * (updates - i)));
        return encode(scores);
    }

    function keepOf(address validator, uint256 updates) internal view returns (uint8) {
        return uint8(_keepPlusOne[validator] == 0 ? updates : _keepPlusOne[validator] - 1);
    }

    function saltOf(address validator, uint32 window) internal pure returns (bytes32) {
        return keccak256(abi.encode("salt", validator, window));
    }

    /// @notice n big-endian int16.
    function encode(int16[] memory scores) internal pure returns (bytes memory packed) {
        for (uint256 i = 0; i < scores.length; ++i) {
            packed = bytes.concat(packed, bytes2(uint16(scores[i])));
        }
    }

    /// @notice The commitment as the specification writes it.
    function commitmentTo(
        address validator,
        uint32 window,
        uint64 tag,
        bytes memory scores,
        uint8 keep,
        bytes32 salt
    ) internal view returns (bytes32) {
        return
            keccak256(
                abi.encode(
                    block.chainid,
                    address(federation),
                    window,
                    tag,
                    validator,
                    scores,
                    keep,
                    salt
                )
            );
    }

    /// @notice What is kept of a commitment: all but the six bits in whose place the seat is.
    function kept(bytes32 commitment) internal pure returns (bytes32) {
        for (uint256 bit = 95; bit <= 175; bit += 16) commitment &= ~bytes32(uint256(1) << bit);
        return commitment;
    }

    function isActive(address validator, uint32 active) internal view returns (bool) {
        uint8 seat = federation.participant(validator).seat;
        return seat < 32 && (active >> seat) & 1 != 0;
    }

    function commitAs(address validator) internal {
        IFederation.Window memory w = judged();
        bytes32 commitment = commitmentTo(
            validator,
            w.id,
            w.tag,
            scoresOf(validator, w.updates),
            keepOf(validator, w.updates),
            saltOf(validator, w.id)
        );
        vm.prank(validator);
        federation.commitScores(w.id, commitment, w.tag);
    }

    function commitAll() internal {
        uint32 active = judged().active;
        for (uint256 i = 0; i < validators.length; ++i) {
            if (isActive(validators[i], active)) commitAs(validators[i]);
        }
    }

    function revealAs(address validator) internal {
        IFederation.Window memory w = judged();
        bytes memory scores = scoresOf(validator, w.updates);
        uint8 keep = keepOf(validator, w.updates);
        vm.prank(validator);
        federation.revealScores(w.id, w.tag, keep, scores, saltOf(validator, w.id));
    }

    function revealAll() internal {
        uint32 active = judged().active;
        for (uint256 i = 0; i < validators.length; ++i) {
            if (isActive(validators[i], active)) revealAs(validators[i]);
        }
    }

    /// @notice Commits, where there are commits, and reveals.
    function scoreAll() internal {
        if (federation.parameters().commitPeriod != 0) commitAll();
        revealAll();
    }

    // ----- Tally, attestation, the end -----

    function tally() internal {
        uint32 window = federation.head().judgingWindow;
        federation.tally(window, authorsOf(window), revealers());
    }

    /// @notice Who has revealed scores of the window being judged, in the order of seats.
    function revealers() internal view returns (address[] memory who) {
        return seated(federation, judged().revealed);
    }

    /// @notice A digest for the next version.
    function nextModel() internal view returns (bytes32) {
        return keccak256(abi.encode("model", federation.head().version + 1));
    }

    function attestAs(address validator, bytes32 digest) internal {
        IFederation.Window memory w = judged();
        vm.prank(validator);
        federation.attestModel(w.id, w.tag, digest, 0);
    }

    /// @notice All the active attest; the last one settles the window.
    function attestAll(bytes32 digest) internal {
        uint32 active = judged().active;
        for (uint256 i = 0; i < validators.length; ++i) {
            if (isActive(validators[i], active)) attestAs(validators[i], digest);
        }
    }

    /// @notice After the deadline of the attestations.
    function settle() internal {
        passDeadline();
        federation.settle(federation.head().judgingWindow);
    }

    /// @notice From a window's turn to its version.
    function judge() internal {
        scoreAll();
        tally();
        attestAll(nextModel());
    }

    function runWindow() internal returns (uint32 window) {
        window = fillWindow();
        judge();
    }

    // ----- Refusals -----

    /// @notice The federation refuses this call, with exactly this error. Build both with `abi.encode…`.
    function refuses(address who, bytes memory call, bytes memory refusal) internal {
        refuses(who, 0, call, refusal);
    }

    function refuses(address who, uint256 value, bytes memory call, bytes memory refusal) internal {
        vm.deal(who, who.balance + value);
        vm.prank(who);
        (bool done, bytes memory answer) = address(federation).call{value: value}(call);
        vm.assertFalse(done, "the call was not refused");
        vm.assertEq(answer, refusal, "refused for another reason");
    }

    // ----- Looking -----

    /// @notice Data of the last event with this topic since `vm.recordLogs()`.
    function dataOf(Vm.Log[] memory logs, bytes32 topic) internal view returns (bytes memory) {
        for (uint256 i = logs.length; i > 0; --i) {
            Vm.Log memory log = logs[i - 1];
            if (log.emitter == address(federation) && log.topics[0] == topic) return log.data;
        }
        revert NoSuchEvent(topic);
    }

    function countOf(Vm.Log[] memory logs, bytes32 topic) internal pure returns (uint256 count) {
        for (uint256 i = 0; i < logs.length; ++i) if (logs[i].topics[0] == topic) ++count;
    }

    /// @notice Money that the federation says it holds is there: none besides was sent by these tests.
    function checkMoney() internal view {
        IFederation.Head memory h = federation.head();
        vm.assertEq(
            purseOf(address(federation)),
            uint256(h.stakes) + h.pool + h.credits + h.slashed,
            "accounted money is the balance"
        );
    }
}
