// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";

import {IFederation} from "./IFederation.sol";
import {Money} from "./Money.sol";
import {Cid} from "./libraries/Cid.sol";
import {Judging} from "./libraries/Judging.sol";
import {Ledger} from "./libraries/Ledger.sol";
import {Scores} from "./libraries/Scores.sol";
import {Words} from "./libraries/Words.sol";

/// @title A BAFL federation
/// @notice Specified in `IFederation.sol`.
contract Federation is IFederation, Money, EIP712, Multicall, ReentrancyGuardTransient {
    using Ledger for Ledger.State;

    // ---------------------------------------------------------------------------------------------- constants

    uint8 private constant RAW = 0x55;
    uint8 private constant DAG_PB = 0x70;

    bytes32 private constant INVITATION = keccak256(
        "Invitation(address participant,uint8 roles,uint256 nonce,uint256 deadline,uint64 epoch)"
    );

    // ---------------------------------------------------------------------------------- what is fixed at creation

    address public immutable owner;
    address public immutable lens;

    bytes32 private immutable MANIFEST;
    uint8 private immutable MANIFEST_CODEC = RAW;
    uint8 private immutable MODEL_CODEC;
    uint8 private immutable WINDOW_SIZE;
    uint8 private immutable MIN_UPDATES;
    uint32 private immutable MAX_WAIT;
    uint32 private immutable COMMIT_PERIOD;
    uint32 private immutable REVEAL_PERIOD;
    uint32 private immutable ATTEST_PERIOD;
    uint16 private immutable MAX_STALENESS;
    uint8 private immutable MIN_VALIDATORS;
    int16 private immutable REJECT_BELOW;
    uint32 private immutable SLASH_PPM;
    uint32 private immutable JAIL_PERIOD;
    uint32 private immutable UNBONDING_PERIOD;
    uint96 private immutable MIN_STAKE;
    uint96 private immutable REWARD_RATE;
    bool private immutable TRUST_SAMPLES;
    bool private immutable OPEN;
    address private immutable TREASURY;
    address private immutable SLASH_SINK;

    uint256 private immutable CREDIT_UNIT; // credits are kept in millionths of the minimum stake

    // -------------------------------------------------------------------------------------------------- storage

    Ledger.State private _s;

    function _rules() private view returns (Judging.Rules memory) {
        return
            Judging.Rules({
                minValidators: MIN_VALIDATORS,
                commitPeriod: COMMIT_PERIOD,
                revealPeriod: REVEAL_PERIOD,
                attestPeriod: ATTEST_PERIOD,
                jailPeriod: JAIL_PERIOD,
                minStake: MIN_STAKE,
                slash: (uint256(MIN_STAKE) * SLASH_PPM) / Ledger.PPM,
                rewardRate: REWARD_RATE,
                creditUnit: CREDIT_UNIT,
                rejectBelow: REJECT_BELOW,
                trustSamples: TRUST_SAMPLES
            });
    }

    // ------------------------------------------------------------------------------------------------- creation

    constructor(
        address owner_,
        address lens_,
        Genesis memory genesis_,
        Parameters memory p
    ) EIP712("BAFL Federation", "1") {
        _requireAddress("owner", owner_);
        _requireAddress("lens", lens_);
        _requireAddress("treasury", p.treasury);
        _requireAddress("slashSink", p.slashSink);
        if (genesis_.manifest == 0) revert InvalidRoot(0, RAW);
        _requireRoot(genesis_.model, genesis_.modelCodec);

        bool isDevelopment = block.chainid == 31337 || block.chainid == 1337;
        _requireWithin("windowSize", p.windowSize, 1, Ledger.MAX_UPDATES);
        _requireWithin("minUpdates", p.minUpdates, isDevelopment ? 1 : 3, p.windowSize);
        _requireWithin("maxWait", p.maxWait, 1, 30 days);
        _requireWithin("commitPeriod", p.commitPeriod, 0, 7 days);
        _requireWithin("revealPeriod", p.revealPeriod, 1, 7 days);
        _requireWithin("attestPeriod", p.attestPeriod, 1, 7 days);
        _requireWithin("maxStaleness", p.maxStaleness, 1, 1000);
        _requireWithin("minValidators", p.minValidators, isDevelopment ? 1 : 4, Ledger.MAX_SEATS);
        if (p.rejectBelow < -4990 || p.rejectBelow > 0) {
            revert ParameterOutOfRange("rejectBelow", p.rejectBelow, -4990, 0);
        }
        _requireWithin("slashPpm", p.slashPpm, 0, 20_000);
        _requireWithin("jailPeriod", p.jailPeriod, 1, 365 days);
        uint256 judging = uint256(p.commitPeriod) + p.revealPeriod + 3 * uint256(p.attestPeriod);
        uint256 longestLife = 2 * uint256(p.maxWait) + Ledger.RING * judging;
        _requireWithin("unbondingPeriod", p.unbondingPeriod, longestLife, 365 days);
        _requireWithin("minStake", p.minStake, 1e6, 2 ** 88);
        _requireWithin("rewardRate", p.rewardRate, 0, 2 ** 88);

        owner = owner_;
        lens = lens_;
        MANIFEST = genesis_.manifest;
        MODEL_CODEC = genesis_.modelCodec;
        WINDOW_SIZE = p.windowSize;
        MIN_UPDATES = p.minUpdates;
        MAX_WAIT = p.maxWait;
        COMMIT_PERIOD = p.commitPeriod;
        REVEAL_PERIOD = p.revealPeriod;
        ATTEST_PERIOD = p.attestPeriod;
        MAX_STALENESS = p.maxStaleness;
        MIN_VALIDATORS = p.minValidators;
        REJECT_BELOW = p.rejectBelow;
        SLASH_PPM = p.slashPpm;
        JAIL_PERIOD = p.jailPeriod;
        UNBONDING_PERIOD = p.unbondingPeriod;
        MIN_STAKE = p.minStake;
        REWARD_RATE = p.rewardRate;
        TRUST_SAMPLES = p.trustSamples;
        OPEN = p.open;
        TREASURY = p.treasury;
        SLASH_SINK = p.slashSink;
        CREDIT_UNIT = p.minStake / Ledger.PPM;

        _s.models[0] = genesis_.model;
        _s.store(Words.Now(0, 1, 1, 0, 0, p.minUpdates, 0, 0, 0, 0));
        _s.store(Words.Till(0, 0, block.timestamp));
        emit FederationCreated(owner_, genesis_.manifest, genesis_.model, p);
    }

    function _requireAddress(string memory parameter, address given) private pure {
        if (given == address(0)) revert ZeroAddress(parameter);
    }

    function _requireWithin(
        string memory parameter,
        uint256 given,
        uint256 least,
        uint256 most
    ) private pure {
        if (given < least || given > most) {
            revert ParameterOutOfRange(parameter, int256(given), int256(least), int256(most));
        }
    }

    // ----------------------------------------------------------------------------------------------- membership

    function join(uint8 roles, bytes32 profile, uint256 stake) external payable {
        if (!OPEN) revert InvitationRequired();
        _join(roles, profile, stake);
    }

    function joinByInvitation(
        uint8 roles,
        bytes32 profile,
        uint256 stake,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external payable nonReentrant {
        if (block.timestamp > deadline) revert InvitationExpired(deadline);
        if (_s.invitationUsed[nonce]) revert InvitationUsed(nonce);
        bytes32 digest = _hashTypedDataV4(
            keccak256(
                abi.encode(INVITATION, msg.sender, roles, nonce, deadline, _s.invitationEpoch)
            )
        );
        if (!SignatureChecker.isValidSignatureNowCalldata(owner, digest, signature)) {
            revert InvitationInvalid(owner);
        }
        _s.invitationUsed[nonce] = true;
        _join(roles, profile, stake);
    }

    function _join(uint256 roles, bytes32 profile, uint256 stake) private {
        _take(stake);
        _resize(Judging.join(_s, roles, profile, stake, MIN_STAKE));
    }

    function setProfile(bytes32 profile) external {
        if (_s.loadAccount(msg.sender).roles == 0) revert NotParticipant(msg.sender);
        _s.profiles[msg.sender] = profile;
        emit ProfileChanged(msg.sender, profile);
    }

    function topUp(uint256 amount) external payable {
        _take(amount);
        Judging.topUp(_s, amount, MIN_STAKE);
    }

    function takeSeat() external {
        Judging.takeSeat(_s);
    }

    function wake() external {
        Words.Account memory account = _s.loadAccount(msg.sender);
        if (account.roles == 0) revert NotParticipant(msg.sender);
        if (account.missed < Ledger.ASLEEP) revert NotAsleep(msg.sender);
        account.missed = 0;
        _s.store(msg.sender, account);
        emit Woke(msg.sender);
    }

    function requestExit() external {
        _resize(Judging.requestExit(_s, _withdrawableAt(block.timestamp)));
    }

    function withdraw() external nonReentrant {
        _pay(msg.sender, Judging.withdraw(_s, UNBONDING_PERIOD));
    }

    function claim() external nonReentrant {
        uint256 id = _s.loadAccount(msg.sender).id;
        Words.Merit memory merit = _s.loadMerit(id);
        uint256 amount = merit.credit * CREDIT_UNIT;
        if (amount == 0) revert NothingToPay();
        merit.credit = 0;
        _s.store(id, merit);
        Words.Till memory till = _s.loadTill();
        till.credits -= amount;
        _s.store(till);
        emit Claimed(msg.sender, amount);
        _pay(msg.sender, amount);
    }

    function _withdrawableAt(uint256 exitAt) private view returns (uint256) {
        return exitAt + UNBONDING_PERIOD + 1;
    }

    /// @dev K: at most windowSize, and one less than the trainers there are, so that one may always lag behind.
    function _resize(uint256 trainers) private {
        Words.Now memory now_ = _s.loadNow();
        uint256 size = trainers == 0 ? 0 : trainers - 1;
        if (size > WINDOW_SIZE) size = WINDOW_SIZE;
        now_.size = size < MIN_UPDATES ? MIN_UPDATES : size;
        _s.store(now_);
    }

    // -------------------------------------------------------------------------------------------- open, sealed

    function submitUpdate(
        uint32 baseVersion,
        bytes32 rootDigest,
        uint8 rootCodec,
        uint8 encoding,
        uint32 samples
    ) external returns (uint256 updateId) {
        Words.Now memory now_ = _s.loadNow();
        Words.Duty memory duty = _s.loadDuty(msg.sender);
        _requireMaySubmit(now_, duty, baseVersion);
        bool isPending = duty.window >= now_.judgingWindow;
        if (isPending) _requireRoom(now_, duty);
        if (now_.openWindow - now_.judgingWindow >= Ledger.RING) revert QueueFull(_roundDeadline());
        _requireRoot(rootDigest, rootCodec);
        if (samples == 0) revert InvalidSamples(samples);

        // While it is pending its base is one of the last maxStaleness + Ledger.RING versions, and older than this one.
        duty.olderBack = isPending ? now_.openWindow - duty.window : 0;
        duty.olderBaseBack = isPending ? baseVersion - duty.base : 0;
        duty.olderSamples = duty.samples;
        duty.olderIndex = duty.index;
        duty.window = now_.openWindow;
        duty.base = baseVersion;
        duty.samples = samples;
        uint256 index = now_.updates;
        duty.index = index;
        _s.store(msg.sender, duty);

        if (index == 0) now_.openedAt = block.timestamp;
        if (rootCodec == DAG_PB) now_.codecs |= 1 << index;
        now_.updates = index + 1;
        now_.runningHash = uint64(
            uint256(keccak256(abi.encode(now_.runningHash, msg.sender, rootDigest, baseVersion)))
        );
        _s.digests[Ledger.placeOf(now_.openWindow, index)] = rootDigest;
        updateId = now_.openWindow * Ledger.MAX_UPDATES + index;
        emit UpdateSubmitted(
            updateId,
            msg.sender,
            baseVersion,
            rootDigest,
            rootCodec,
            encoding,
            samples
        );
        if (now_.updates < now_.size) _s.store(now_);
        else _seal(now_, 0);
    }

    function seal() external {
        Words.Now memory now_ = _s.loadNow();
        if (now_.updates == 0) revert NothingToSeal(now_.openWindow);
        uint256 isVoid;
        if (now_.updates < now_.size) {
            uint256 wait = MAX_WAIT;
            if (now_.updates < MIN_UPDATES) (isVoid, wait) = (1, 2 * wait);
            uint256 deadline = now_.openedAt + wait;
            if (block.timestamp <= deadline) revert TooEarly(deadline + 1);
        }
        _seal(now_, isVoid);
    }

    function _requireMaySubmit(
        Words.Now memory now_,
        Words.Duty memory duty,
        uint256 base
    ) private view {
        if (now_.flags & Ledger.CLOSED != 0) revert IsClosed();
        if (now_.flags & Ledger.PAUSED != 0) revert IsPaused();
        if (duty.flags & Ledger.TRAINS == 0) revert NotTrainer(msg.sender);
        if (block.timestamp <= duty.jailedUntil) revert JailedUntil(duty.jailedUntil);
        if (duty.flags & Ledger.STAKE_SHORT != 0)
            revert StakeBelowMinimum(_s.loadAccount(msg.sender).stake, MIN_STAKE);
        if (base > now_.version) revert BaseNotFinal(base, now_.version);
        if (base + MAX_STALENESS < now_.version)
            revert BaseTooStale(base, now_.version - MAX_STALENESS);
        if (base > duty.base || duty.window == 0) return;
        if (base == duty.base && base == now_.version && duty.window < now_.judgingWindow) return;
        revert BaseNotNewer(base, duty.base);
    }

    /// @dev Its last window has not ended: it must be another one than this, and the one before must have ended.
    function _requireRoom(Words.Now memory now_, Words.Duty memory duty) private pure {
        if (duty.window == now_.openWindow) revert AlreadyInWindow(duty.window);
        uint256 older = duty.window - duty.olderBack;
        if (duty.olderBack != 0 && older >= now_.judgingWindow) revert TooManyPending(older);
    }

    function _requireRoot(bytes32 digest, uint256 codec) private pure {
        if (digest == 0 || (codec != RAW && codec != DAG_PB))
            revert InvalidRoot(digest, uint8(codec));
    }

    function _seal(Words.Now memory now_, uint256 isVoid) private {
        uint256 window_ = now_.openWindow;
        _s.headers[window_ % Ledger.RING] = Words.pack(
            Words.Header({
                openedAt: now_.openedAt,
                sealedAt: block.timestamp,
                updates: now_.updates,
                isVoid: isVoid,
                codecs: now_.codecs,
                runningHash: now_.runningHash
            })
        );
        if (isVoid != 0) emit WindowVoided(window_, VoidReason.TooFewUpdates);
        else emit WindowSealed(window_, now_.updates);
        now_.openWindow = window_ + 1;
        now_.openedAt = 0;
        now_.updates = 0;
        now_.codecs = 0;
        now_.runningHash = 0;
        _s.store(now_);
        if (now_.judgingWindow == window_) Judging.beginTurns(_s, _rules());
    }

    // ------------------------------------------------------------------------------------------ commit, reveal

    function commitScores(uint32 window_, uint64 tag, bytes32 commitment) external {
        Words.Round memory round = _loadPhase(window_, Phase.Commit);
        uint256 seat = _requireActive(round, tag);
        if (Ledger.isIn(round.committed, seat)) revert AlreadyActed(msg.sender);

        _s.commitments[seat] = commitment;
        round.committed |= 1 << seat;
        if (round.committed == round.owing) {
            (round.stage, round.deadline) = (Ledger.REVEAL, block.timestamp + REVEAL_PERIOD);
        }
        _s.store(round);
        emit ScoresCommitted(window_, msg.sender, commitment);
    }

    function revealScores(
        uint32 window_,
        uint64 tag,
        bytes calldata scores,
        uint8 keep,
        bytes32 salt
    ) external {
        Words.Round memory round = _loadPhase(window_, Phase.Reveal);
        uint256 seat = _requireActive(round, tag);
        if (!Ledger.isIn(round.owing, seat)) revert AlreadyActed(msg.sender);
        bytes32 row = _requireScores(scores, keep, round.updates);
        if (COMMIT_PERIOD != 0) {
            if (!Ledger.isIn(round.committed, seat)) revert NothingCommitted(msg.sender);
            bytes32 commitment = keccak256(
                abi.encode(
                    block.chainid,
                    address(this),
                    window_,
                    tag,
                    msg.sender,
                    scores,
                    keep,
                    salt
                )
            );
            if (commitment != _s.commitments[seat])
                revert CommitmentMismatch(commitment, _s.commitments[seat]);
        }

        if (round.stage == Ledger.COMMIT)
            (round.stage, round.deadline) = (Ledger.REVEAL, round.deadline + REVEAL_PERIOD);
        round.owing &= ~(1 << seat);
        round.committed |= 1 << seat;
        if (_isRevealed(round)) round.deadline = block.timestamp;
        _s.commitments[seat] = Scores.pack(row, keep);
        _s.store(round);
        emit ScoresRevealed(window_, msg.sender, row, keep);
    }

    function _requireScores(
        bytes calldata scores,
        uint256 keep,
        uint256 updates
    ) private pure returns (bytes32 row) {
        if (scores.length != 2 * updates) revert WrongScoresLength(scores.length, 2 * updates);
        if (keep > updates) revert InvalidKeep(keep, updates);
        row = bytes32(scores); // filled up with zeros
        (uint256 index, bool isValid) = Scores.firstInvalid(row);
        if (!isValid) revert InvalidScore(index, Scores.scoreAt(row, index));
    }

    /// @dev Nobody is left to reveal: all active validators have, or where they commit first, all who did.
    function _isRevealed(Words.Round memory round) private view returns (bool) {
        return (COMMIT_PERIOD == 0 ? round.owing : round.owing & round.committed) == 0;
    }

    /// @dev The seat of the caller, who judges the window with this tag.
    function _requireActive(Words.Round memory round, uint64 tag) private view returns (uint256) {
        if (tag != round.tag) revert WrongTag(tag, uint64(round.tag));
        uint256 seat = _s.loadAccount(msg.sender).seat;
        if (seat == 0 || !Ledger.isIn(Ledger.activeOf(round), seat - 1))
            revert NotActiveValidator(msg.sender);
        return seat - 1;
    }

    function _loadPhase(uint256 window_, Phase needed) private view returns (Words.Round memory) {
        Words.Round memory round = _loadJudged(window_);
        (Phase phase, uint256 deadline) = _phaseOf(round);
        if (phase != needed) revert WrongPhase(window_, phase, needed);
        if (block.timestamp > deadline) revert TooLate(deadline);
        return round;
    }

    function _loadJudged(uint256 window_) private view returns (Words.Round memory) {
        Words.Round memory round = _s.loadRound();
        if (round.stage == Ledger.IDLE) revert NotJudgedNow(window_, 0);
        if (window_ != round.window) revert NotJudgedNow(window_, round.window);
        return round;
    }

    /// @dev As time goes by, Commit becomes Reveal, and Reveal becomes Tally.
    function _phaseOf(
        Words.Round memory round
    ) private view returns (Phase phase, uint256 deadline) {
        deadline = round.deadline;
        if (round.stage >= Ledger.ATTEST) return (Phase.Attest, deadline);
        if (round.stage == Ledger.COMMIT) {
            if (block.timestamp <= deadline) return (Phase.Commit, deadline);
            deadline += REVEAL_PERIOD;
        }
        if (block.timestamp <= deadline && !_isRevealed(round)) return (Phase.Reveal, deadline);
        return (Phase.Tally, deadline + ATTEST_PERIOD);
    }

    // ---------------------------------------------------------------------------------------------------- tally

    function tally(uint32 window_, address[] calldata authors) external {
        _loadPhase(window_, Phase.Tally);
        Judging.tally(_s, _rules(), authors);
    }

    // --------------------------------------------------------------------------------------------- attestation

    function attestModel(uint32 window_, uint64 tag, bytes32 rootDigest, int64 metric) external {
        Words.Round memory round = _loadPhase(window_, Phase.Attest);
        uint256 seat = _requireActive(round, tag);
        if (Ledger.isIn(round.attested, seat)) revert AlreadyActed(msg.sender);
        _requireRoot(rootDigest, MODEL_CODEC);

        uint256 candidate = _vote(round, seat, rootDigest);
        emit ModelAttested(window_, msg.sender, rootDigest, metric);
        uint256 active = Ledger.activeOf(round);
        if (
            round.stage == Ledger.ATTEST &&
            3 * _s.weigh(_s.votersOf(round, candidate)) >= 2 * _s.weigh(active)
        ) {
            round.stage = Ledger.FINAL_STAGE;
            Words.Now memory now_ = _s.loadNow();
            ++now_.version;
            _s.store(now_);
            _s.models[now_.version] = rootDigest;
            emit VersionFinalized(now_.version, window_, rootDigest);
        }
        _s.store(round);
        if (round.attested == active) Judging.settle(_s, _rules());
    }

    function _vote(
        Words.Round memory round,
        uint256 seat,
        bytes32 rootDigest
    ) private returns (uint256 candidate) {
        while (candidate < round.candidates && _s.candidates[candidate] != rootDigest) ++candidate;
        if (candidate == round.candidates) {
            _s.candidates[candidate] = rootDigest;
            ++round.candidates;
            if (candidate == 1) _s.ballots = 0; // all before were for the first
        }
        if (round.candidates > 1) _s.ballots = Words.withLane(_s.ballots, seat, 8, candidate);
        round.attested |= 1 << seat;
    }

    // --------------------------------------------------------------------------------------------------- the end

    function settle(uint32 window_) external {
        Words.Round memory round = _loadJudged(window_);
        (Phase phase, uint256 deadline) = _phaseOf(round);
        if (phase != Phase.Attest) revert WrongPhase(window_, phase, Phase.Attest);
        if (block.timestamp <= deadline) revert TooEarly(deadline + 1);
        if (block.timestamp > deadline + ATTEST_PERIOD) revert TooLate(deadline + ATTEST_PERIOD);
        Judging.settle(_s, _rules());
    }

    function discard(uint32 window_) external {
        Words.Round memory round = _loadJudged(window_);
        (Phase phase, uint256 last) = _phaseOf(round);
        VoidReason reason = VoidReason.NotTallied;
        if (phase == Phase.Attest) {
            last += ATTEST_PERIOD;
            reason = VoidReason.NoQuorum;
        } else if (phase != Phase.Tally) {
            revert WrongPhase(window_, phase, Phase.Tally);
        } else if (3 * _s.weigh(Ledger.revealedOf(round)) < 2 * _s.weigh(Ledger.activeOf(round))) {
            last = 0; // no tally can come
            reason = VoidReason.TooFewReveals;
        }
        if (block.timestamp <= last) revert TooEarly(last + 1);
        Judging.discard(_s, _rules(), reason);
    }

    // --------------------------------------------------------------------------------------------------- owner

    modifier onlyOwner() {
        _requireOwner();
        _;
    }

    function _requireOwner() private view {
        if (msg.sender != owner) revert NotOwner(msg.sender);
    }

    function fund(uint256 amount) external payable {
        if (_s.loadNow().flags & Ledger.CLOSED != 0) revert IsClosed();
        _take(amount);
        Words.Till memory till = _s.loadTill();
        till.pool += amount;
        if (till.pool > type(uint104).max) revert AmountTooLarge(till.pool, type(uint104).max);
        _s.store(till);
        emit Funded(msg.sender, amount);
    }

    function pause() external onlyOwner {
        _setFlags(Ledger.PAUSED, 0);
        emit Paused();
    }

    function unpause() external onlyOwner {
        _setFlags(0, Ledger.PAUSED);
        emit Unpaused();
    }

    function close() external onlyOwner {
        _setFlags(Ledger.CLOSED, 0);
        emit Closed();
    }

    function _setFlags(uint256 set, uint256 cleared) private {
        Words.Now memory now_ = _s.loadNow();
        if (now_.flags & Ledger.CLOSED != 0) revert IsClosed();
        now_.flags = (now_.flags | set) & ~cleared;
        _s.store(now_);
    }

    function bumpInvitationEpoch() external onlyOwner {
        emit InvitationEpochBumped(++_s.invitationEpoch);
    }

    function sweepPool() external nonReentrant {
        Words.Now memory now_ = _s.loadNow();
        if (now_.flags & Ledger.CLOSED == 0) revert NotClosed();
        if (now_.judgingWindow != now_.openWindow || now_.updates != 0) {
            revert WindowsInFlight(now_.judgingWindow, now_.openWindow);
        }
        Words.Till memory till = _s.loadTill();
        uint256 amount = till.pool;
        if (amount == 0) revert NothingToPay();
        till.pool = 0;
        _s.store(till);
        emit PoolSwept(amount);
        _pay(TREASURY, amount);
    }

    function sweepSlashed() external nonReentrant {
        uint256 amount = _s.slashed;
        if (amount == 0) revert NothingToPay();
        _s.slashed = 0;
        emit SlashedSwept(amount);
        _pay(SLASH_SINK, amount);
    }

    // --------------------------------------------------------------------------------------------------- views

    function invitationEpoch() external view returns (uint64) {
        return _s.invitationEpoch;
    }

    function parameters() external view returns (Parameters memory) {
        return
            Parameters({
                windowSize: WINDOW_SIZE,
                minUpdates: MIN_UPDATES,
                maxWait: MAX_WAIT,
                commitPeriod: COMMIT_PERIOD,
                revealPeriod: REVEAL_PERIOD,
                attestPeriod: ATTEST_PERIOD,
                maxStaleness: MAX_STALENESS,
                minValidators: MIN_VALIDATORS,
                rejectBelow: REJECT_BELOW,
                slashPpm: SLASH_PPM,
                jailPeriod: JAIL_PERIOD,
                unbondingPeriod: UNBONDING_PERIOD,
                minStake: MIN_STAKE,
                rewardRate: REWARD_RATE,
                trustSamples: TRUST_SAMPLES,
                open: OPEN,
                treasury: TREASURY,
                slashSink: SLASH_SINK
            });
    }

    function genesis() external view returns (Genesis memory) {
        return Genesis(MANIFEST, _s.models[0], MODEL_CODEC);
    }

    function head() external view returns (Head memory h) {
        Words.Now memory now_ = _s.loadNow();
        h.version = uint32(now_.version);
        h.openWindow = uint32(now_.openWindow);
        h.judgingWindow = uint32(now_.judgingWindow);
        h.effectiveSize = uint8(now_.size);
        h.paused = now_.flags & Ledger.PAUSED != 0;
        h.closed = now_.flags & Ledger.CLOSED != 0;
        Words.Membership memory membership = _s.loadMembership();
        h.trainers = uint24(membership.trainers);
        h.seats = uint32(membership.seats);
        Words.Till memory till = _s.loadTill();
        h.lastFinalSealedAt = uint40(till.lastFinalSealedAt);
        h.pool = uint128(till.pool);
        h.credits = uint128(till.credits);
        h.stakes = uint128(_s.stakes);
        h.slashed = uint128(_s.slashed);
    }

    function participant(address who) external view returns (Participant memory p) {
        Words.Account memory account = _s.loadAccount(who);
        p.roles = uint8(account.roles);
        p.stake = uint96(account.stake);
        p.exitAt = uint40(account.exitAt);
        if (account.exitAt != 0) p.withdrawableAt = uint40(_withdrawableAt(account.exitAt));
        p.validatorReputation = uint32(account.reputation);
        if (block.timestamp <= account.jailedUntil)
            p.validatorJailedUntil = uint40(account.jailedUntil);
        p.missed = uint8(account.missed);
        p.asleep = account.missed >= Ledger.ASLEEP;
        p.seat = account.seat == 0 ? 255 : uint8(account.seat - 1);
        p.profile = _s.profiles[who];
        Words.Merit memory merit = _s.loadMerit(account.id);
        p.credit = uint128(merit.credit * CREDIT_UNIT);
        p.trainerReputation = uint32(merit.reputation);
        p.rejections = uint8(LibBit.popCount(merit.history));
        Words.Duty memory duty = _s.loadDuty(who);
        if (block.timestamp <= duty.jailedUntil) p.trainerJailedUntil = uint40(duty.jailedUntil);
        if (duty.olderBack != 0) {
            p.pendingWindows[0] = uint32(duty.window - duty.olderBack);
            p.pendingIndices[0] = uint8(duty.olderIndex);
            p.pendingBases[0] = uint32(duty.base - duty.olderBaseBack);
            p.pendingSamples[0] = uint32(duty.olderSamples);
        }
        p.pendingWindows[1] = uint32(duty.window);
        p.pendingIndices[1] = uint8(duty.index);
        p.pendingBases[1] = uint32(duty.base);
        p.pendingSamples[1] = uint32(duty.samples);
    }

    function seatOf(uint8 seat) external view returns (address) {
        return Ledger.isIn(_s.loadMembership().seats, seat) ? _s.seats[seat] : address(0);
    }

    function weightOf(uint8 seat) external view returns (uint256) {
        return Ledger.isIn(Ledger.activeOf(_s.loadRound()), seat) ? _s.weightOf(seat) : 0;
    }

    function window(uint32 id) external view returns (Window memory w) {
        Words.Now memory now_ = _s.loadNow();
        if (!_isInRing(now_, id)) revert NoSuchWindow(id);
        Words.Header memory header = _headerOf(now_, id);
        w.id = id;
        w.updates = uint8(header.updates);
        w.openedAt = uint40(header.openedAt);
        w.sealedAt = uint40(header.sealedAt);
        w.phase = Phase.Sealed;
        if (id == now_.openWindow) {
            w.phase = Phase.Open;
            uint256 wait = uint256(MAX_WAIT) * (header.updates < MIN_UPDATES ? 2 : 1);
            if (header.updates != 0) w.deadline = uint40(header.openedAt + wait);
        } else if (id < now_.judgingWindow || header.isVoid != 0) {
            w.phase = _outcomeOf(now_, id) == Ledger.FINAL ? Phase.Final : Phase.Void;
        }
        Words.Round memory round = _s.loadRound();
        if (round.stage != Ledger.IDLE && round.window == id) {
            uint256 deadline;
            (w.phase, deadline) = _phaseOf(round);
            w.deadline = uint40(deadline);
            w.tag = uint64(round.tag);
            w.baseVersion = uint32(now_.version);
            if (round.stage == Ledger.FINAL_STAGE) --w.baseVersion;
            w.active = uint32(Ledger.activeOf(round));
            w.committed = uint32(round.committed);
            w.revealed = uint32(Ledger.revealedOf(round));
            w.attested = uint32(round.attested);
        }
        if (_outcomeOf(now_, id) != Ledger.UNTALLIED)
            w.keep = uint8(_s.results[Ledger.placeOf(id, 0) / 4] >> 56);
    }

    function update(uint256 updateId) external view returns (Update memory u) {
        Words.Now memory now_ = _s.loadNow();
        (uint256 id, uint256 index) = (
            updateId / Ledger.MAX_UPDATES,
            updateId % Ledger.MAX_UPDATES
        );
        _requirePlace(now_, id, index);
        u.id = updateId;
        u.rootDigest = _s.digests[Ledger.placeOf(id, index)];
        u.rootCodec = _codecOf(now_, id, index);
        if (_outcomeOf(now_, id) == Ledger.UNTALLIED) return u;
        uint256 result = Words.lane(_s.results[Ledger.placeOf(id, index) / 4], index % 4, 64);
        u.verdict = Verdict(uint8(result >> 48));
        u.share = uint24(result >> 24);
    }

    function commitmentOf(uint8 seat) external view returns (bytes32 commitment) {
        Words.Round memory round = _s.loadRound();
        if (!Ledger.isIn(round.committed, seat)) return 0;
        commitment = _s.commitments[seat];
        if (!Ledger.isIn(round.owing, seat)) (commitment, ) = Scores.unpack(commitment);
    }

    function modelDigest(uint32 version) public view returns (bytes32) {
        if (version > _s.loadNow().version) revert NoSuchVersion(version);
        return _s.models[version];
    }

    function cidOf(uint256 updateId) external view returns (string memory) {
        Words.Now memory now_ = _s.loadNow();
        (uint256 id, uint256 index) = (
            updateId / Ledger.MAX_UPDATES,
            updateId % Ledger.MAX_UPDATES
        );
        _requirePlace(now_, id, index);
        return Cid.toString(_s.digests[Ledger.placeOf(id, index)], _codecOf(now_, id, index));
    }

    function modelCid(uint32 version) external view returns (string memory) {
        return Cid.toString(modelDigest(version), MODEL_CODEC);
    }

    function manifestCid() external view returns (string memory) {
        return Cid.toString(MANIFEST, MANIFEST_CODEC);
    }

    /// @dev A window's slot is reused with the first update of the window that comes RING later.
    function _isInRing(Words.Now memory now_, uint256 id) private pure returns (bool) {
        uint256 last = now_.updates == 0 ? now_.openWindow - 1 : now_.openWindow;
        return id != 0 && id <= now_.openWindow && id + Ledger.RING > last;
    }

    function _headerOf(
        Words.Now memory now_,
        uint256 id
    ) private view returns (Words.Header memory) {
        if (id != now_.openWindow) return _s.loadHeader(id);
        return Words.Header(now_.openedAt, 0, now_.updates, 0, now_.codecs, now_.runningHash);
    }

    /// @dev How far a window came; Ledger.UNTALLIED while it has not been tallied.
    function _outcomeOf(Words.Now memory now_, uint256 id) private view returns (uint256) {
        if (id < now_.judgingWindow) return Words.lane(now_.outcomes, id % Ledger.RING, 2);
        Words.Round memory round = _s.loadRound();
        return
            id == round.window && round.stage >= Ledger.ATTEST ? Ledger.TALLIED : Ledger.UNTALLIED;
    }

    function _requirePlace(Words.Now memory now_, uint256 id, uint256 index) private view {
        if (!_isInRing(now_, id) || index >= _headerOf(now_, id).updates) {
            revert UpdateForgotten(id * Ledger.MAX_UPDATES + index);
        }
    }

    function _codecOf(
        Words.Now memory now_,
        uint256 id,
        uint256 index
    ) private view returns (uint8) {
        return Ledger.isIn(_headerOf(now_, id).codecs, index) ? DAG_PB : RAW;
    }

    function _roundDeadline() private view returns (uint256 deadline) {
        (, deadline) = _phaseOf(_s.loadRound());
    }
}
