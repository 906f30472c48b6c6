// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";
import {LibCall} from "solady/src/utils/LibCall.sol";

import {IFederation} from "./IFederation.sol";
import {Money} from "./Money.sol";
import {Cid} from "./libraries/Cid.sol";
import {Judging} from "./libraries/Judging.sol";
import {Ledger} from "./libraries/Ledger.sol";
import {Members} from "./libraries/Members.sol";
import {Scores} from "./libraries/Scores.sol";
import {
    Account,
    Duty,
    Header,
    Membership,
    Merit,
    Now,
    Result,
    Round,
    Rules,
    Service,
    Tariff,
    Terms,
    Till,
    Words
} from "./libraries/Words.sol";

/// @title A BAFL federation
/// @notice Specified in `IFederation.sol`.
contract Federation is IFederation, Money, EIP712, ReentrancyGuardTransient {
    using Ledger for Ledger.State;
    using Words for uint256;

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
    bytes32 private immutable GENESIS_MODEL;
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

    function _rules() private view returns (Rules memory) {
        return
            Rules({
                terms: Words.put(Terms.COMMIT_PERIOD, COMMIT_PERIOD) |
                    Words.put(Terms.REVEAL_PERIOD, REVEAL_PERIOD) |
                    Words.put(Terms.ATTEST_PERIOD, ATTEST_PERIOD) |
                    Words.put(Terms.JAIL_PERIOD, JAIL_PERIOD) |
                    Words.put(Terms.SLASH_PPM, SLASH_PPM) |
                    Words.put(Terms.MIN_VALIDATORS, MIN_VALIDATORS) |
                    Words.put(Terms.TRUST_SAMPLES, TRUST_SAMPLES ? 1 : 0) |
                    Words.put(Terms.FLOOR, uint16(-REJECT_BELOW)),
                tariff: Words.put(Tariff.MIN_STAKE, MIN_STAKE) |
                    Words.put(Tariff.REWARD_RATE, REWARD_RATE)
            });
    }

    // ------------------------------------------------------------------------------------------------- creation

    constructor(
        address owner_,
        address lens_,
        Genesis memory genesis_,
        Parameters memory p
    ) EIP712("BAFL Federation", "1") Money(p.currency) {
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

        GENESIS_MODEL = genesis_.model;
        _s.models[0] = genesis_.model;
        _s.now_ =
            Words.put(Now.OPEN, 1) |
            Words.put(Now.JUDGING, 1) |
            Words.put(Now.SIZE, p.minUpdates);
        _s.till = Words.put(Till.LAST_FINAL_SEALED_AT, block.timestamp);
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

    function join(
        uint8 roles,
        bytes32 profile,
        uint256 stake
    ) external payable nonReentrant taking(stake) {
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
    ) external payable nonReentrant taking(stake) {
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
        emit InvitationAccepted(nonce, msg.sender);
        _join(roles, profile, stake);
    }

    function _join(uint256 roles, bytes32 profile, uint256 stake) private {
        _resize(Members.join(_s, roles, profile, stake, MIN_STAKE));
    }

    function setProfile(bytes32 profile) external {
        if (_s.accounts[msg.sender].get(Account.ROLES) == 0) revert NotParticipant(msg.sender);
        _s.profiles[msg.sender] = profile;
        emit ProfileChanged(msg.sender, profile);
    }

    function topUp(uint256 amount) external payable nonReentrant taking(amount) {
        Members.topUp(_s, amount, MIN_STAKE);
    }

    function takeSeat() external {
        Members.takeSeat(_s);
    }

    function wake() external {
        uint256 account = _s.accounts[msg.sender];
        if (account.get(Account.ROLES) == 0) revert NotParticipant(msg.sender);
        uint256 id = account.get(Account.ID);
        uint256 service = _s.serviceOf(id);
        if (service.get(Service.MISSED) < Service.ASLEEP) revert NotAsleep(msg.sender);
        _s.setService(id, service.set(Service.MISSED, 0));
        emit Woke(msg.sender);
    }

    function requestExit() external {
        _resize(Members.requestExit(_s, _withdrawableAt(block.timestamp)));
    }

    function withdraw() external nonReentrant {
        _pay(msg.sender, Members.withdraw(_s, UNBONDING_PERIOD));
    }

    function claim() external nonReentrant {
        uint256 id = _s.accounts[msg.sender].get(Account.ID);
        (uint256 merit, uint256 service) = (_s.meritOf(id), _s.serviceOf(id));
        uint256 amount = _creditOf(merit, service);
        if (amount == 0) revert NothingToPay();
        _s.setMerit(id, merit.set(Merit.CREDIT, 0));
        _s.setService(id, service.set(Service.CREDIT, 0));
        _s.till = _s.till.set(Till.CREDITS, _s.till.get(Till.CREDITS) - amount);
        emit Claimed(msg.sender, amount);
        _pay(msg.sender, amount);
    }

    /// @dev What a participant has earned as a trainer and as a validator.
    function _creditOf(uint256 merit, uint256 service) private view returns (uint256) {
        return (merit.get(Merit.CREDIT) + service.get(Service.CREDIT)) * CREDIT_UNIT;
    }

    function _withdrawableAt(uint256 exitAt) private view returns (uint256) {
        return exitAt + UNBONDING_PERIOD + 1;
    }

    /// @dev K: at most windowSize, and one less than the trainers there are, so that one may always lag behind.
    function _resize(uint256 trainers) private {
        uint256 now_ = _s.now_;
        uint256 size = trainers == 0 ? 0 : trainers - 1;
        if (size > WINDOW_SIZE) size = WINDOW_SIZE;
        _s.now_ = now_.set(Now.SIZE, size < MIN_UPDATES ? MIN_UPDATES : size);
    }

    // -------------------------------------------------------------------------------------------- open, sealed

    function submitUpdate(
        uint32 baseVersion,
        bytes32 rootDigest,
        uint8 rootCodec,
        uint8 encoding,
        uint64 samples
    ) external returns (uint256 updateId) {
        uint256 now_ = _s.now_;
        uint256 duty = _s.duties[msg.sender];
        uint256 window_ = now_.get(Now.OPEN);
        _requireMaySubmit(now_, duty, baseVersion);
        _requireRoot(rootDigest, rootCodec);
        if (samples == 0 || samples > type(uint32).max) revert InvalidSamples(samples);

        uint256 index = now_.get(Now.UPDATES);
        uint256 older;
        if (duty.get(Duty.WINDOW) >= now_.get(Now.JUDGING)) {
            // Its base is one of the last maxStaleness + RING versions, and older than this one.
            older =
                Words.put(Duty.OLDER_BACK, window_ - duty.get(Duty.WINDOW)) |
                Words.put(Duty.OLDER_BASE_BACK, baseVersion - duty.get(Duty.BASE)) |
                Words.put(Duty.OLDER_SAMPLES, duty.get(Duty.SAMPLES)) |
                Words.put(Duty.OLDER_INDEX, duty.get(Duty.INDEX));
        }
        _s.duties[msg.sender] =
            (duty & Duty.STANDING) |
            Words.put(Duty.WINDOW, window_) |
            Words.put(Duty.BASE, baseVersion) |
            Words.put(Duty.SAMPLES, samples) |
            Words.put(Duty.INDEX, index) |
            older;
        _s.digests[Ledger.placeOf(window_, index)] = rootDigest;

        updateId = Ledger.idOf(window_, index);
        emit UpdateSubmitted(
            updateId,
            msg.sender,
            baseVersion,
            rootDigest,
            rootCodec,
            encoding,
            uint32(samples)
        );

        uint64 hash = Ledger.chain(now_.get(Now.HASH), msg.sender);
        now_ = now_.set(Now.HASH, hash).set(Now.UPDATES, index + 1);
        if (index == 0) now_ = now_.set(Now.OPENED_AT, block.timestamp);
        if (rootCodec == DAG_PB) now_ |= Words.put(Now.CODECS, 1 << index);
        if (index + 1 < now_.get(Now.SIZE)) _s.now_ = now_;
        else _seal(now_, 0);
    }

    function seal() external {
        uint256 now_ = _s.now_;
        if (now_.get(Now.UPDATES) == 0) revert NothingToSeal(now_.get(Now.OPEN));
        uint256 isVoid;
        if (now_.get(Now.UPDATES) < now_.get(Now.SIZE)) {
            uint256 wait = MAX_WAIT;
            if (now_.get(Now.UPDATES) < MIN_UPDATES) (isVoid, wait) = (1, 2 * wait);
            uint256 deadline = now_.get(Now.OPENED_AT) + wait;
            if (block.timestamp <= deadline) revert TooEarly(deadline + 1);
        }
        _seal(now_, isVoid);
    }

    /// @dev In two steps, since nearly all may: what may be wrong at all, and then what is.
    function _requireMaySubmit(uint256 now_, uint256 duty, uint256 base) private view {
        bool isBarred =
            (now_.get(Now.FLAGS) | (duty.get(Duty.FLAGS) ^ Duty.TRAINS)) != 0 ||
                block.timestamp <= duty.get(Duty.JAILED_UNTIL);
        if (isBarred) _refuse(now_, duty);
        uint256 version = now_.get(Now.VERSION);
        if (base > version) revert BaseNotFinal(base, version);
        if (base + MAX_STALENESS < version) revert BaseTooStale(base, version - MAX_STALENESS);

        uint256 judging = now_.get(Now.JUDGING);
        uint256 open = now_.get(Now.OPEN);
        uint256 last = duty.get(Duty.WINDOW);
        if (base <= duty.get(Duty.BASE) && last != 0) {
            bool isAgain = base == duty.get(Duty.BASE) && base == version && last < judging;
            if (!isAgain) revert BaseNotNewer(base, duty.get(Duty.BASE));
        }
        if (last >= judging) {
            if (last == open) revert AlreadyInWindow(last);
            uint256 older = last - duty.get(Duty.OLDER_BACK);
            if (older != last && older >= judging) revert TooManyPending(older);
        }
        if (open - judging >= Ledger.RING) revert QueueFull(_roundDeadline());
    }

    function _refuse(uint256 now_, uint256 duty) private view {
        if (now_.get(Now.FLAGS) & Now.CLOSED != 0) revert IsClosed();
        if (now_.get(Now.FLAGS) & Now.PAUSED != 0) revert IsPaused();
        if (duty.get(Duty.FLAGS) & Duty.TRAINS == 0) revert NotTrainer(msg.sender);
        if (block.timestamp <= duty.get(Duty.JAILED_UNTIL))
            revert JailedUntil(duty.get(Duty.JAILED_UNTIL));
        revert StakeBelowMinimum(_s.accounts[msg.sender].get(Account.STAKE), MIN_STAKE);
    }

    function _requireRoot(bytes32 digest, uint256 codec) private pure {
        if (digest == 0 || (codec != RAW && codec != DAG_PB))
            revert InvalidRoot(digest, uint8(codec));
    }

    function _seal(uint256 now_, uint256 isVoid) private {
        uint256 window_ = now_.get(Now.OPEN);
        _s.headers[window_ % Ledger.RING] =
            Words.put(Header.OPENED_AT, now_.get(Now.OPENED_AT)) |
            Words.put(Header.SEALED_AT, block.timestamp) |
            Words.put(Header.UPDATES, now_.get(Now.UPDATES)) |
            Words.put(Header.VOID, isVoid) |
            Words.put(Header.CODECS, now_.get(Now.CODECS)) |
            Words.put(Header.HASH, now_.get(Now.HASH));
        if (isVoid != 0) emit WindowVoided(window_, VoidReason.TooFewUpdates);
        else emit WindowSealed(window_, now_.get(Now.UPDATES));
        _s.now_ = (now_ & Now.LASTING).set(Now.OPEN, window_ + 1);
        if (now_.get(Now.JUDGING) == window_) Judging.beginTurns(_s, _rules());
    }

    // ------------------------------------------------------------------------------------------ commit, reveal

    function commitScores(uint32 window_, bytes32 commitment, uint64 tag) external {
        uint256 round = _loadPhase(window_, Phase.Commit);
        (uint256 seat, ) = _requireActive(round, tag);
        if (Ledger.isIn(round.get(Round.COMMITTED), seat)) revert AlreadyActed(msg.sender);

        _s.ballots[msg.sender] = Scores.withSeat(commitment, seat + 1);
        round |= Words.put(Round.COMMITTED, 1 << seat);
        if (round.get(Round.COMMITTED) == round.get(Round.OWING)) {
            round = round.set(Round.STAGE, Round.REVEAL).set(
                Round.DEADLINE,
                block.timestamp + REVEAL_PERIOD
            );
        }
        _s.round = round;
        emit ScoresCommitted(window_, msg.sender, commitment);
    }

    function revealScores(
        uint32 window_,
        uint64 tag,
        uint8 keep,
        bytes calldata scores,
        bytes32 salt
    ) external {
        uint256 round = _loadPhase(window_, Phase.Reveal);
        (uint256 seat, bytes32 ballot) = _requireActive(round, tag);
        if (!Ledger.isIn(round.get(Round.OWING), seat)) revert AlreadyActed(msg.sender);
        bytes32 row = _requireScores(scores, keep, round.get(Round.UPDATES));
        if (COMMIT_PERIOD != 0) {
            if (!Ledger.isIn(round.get(Round.COMMITTED), seat)) revert NothingCommitted(msg.sender);
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
            commitment = Scores.withoutSeat(commitment);
            ballot = Scores.withoutSeat(ballot);
            if (commitment != ballot) revert CommitmentMismatch(commitment, ballot);
        }

        if (round.get(Round.STAGE) == Round.COMMIT) {
            uint256 deadline = round.get(Round.DEADLINE) + REVEAL_PERIOD;
            round = round.set(Round.STAGE, Round.REVEAL).set(Round.DEADLINE, deadline);
        }
        round &= ~Words.put(Round.OWING, 1 << seat);
        round |= Words.put(Round.COMMITTED, 1 << seat);
        if (_isRevealed(round)) round = round.set(Round.DEADLINE, block.timestamp);
        _s.ballots[msg.sender] = Scores.withSeat(Scores.pack(row, keep), seat + 1);
        _s.round = round;
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
    function _isRevealed(uint256 round) private view returns (bool) {
        uint256 owing = round.get(Round.OWING);
        return (COMMIT_PERIOD == 0 ? owing : owing & round.get(Round.COMMITTED)) == 0;
    }

    /// @dev The seat and the ballot of the caller, who judges the window with this tag.
    function _requireActive(
        uint256 round,
        uint64 tag
    ) private view returns (uint256 seat, bytes32 ballot) {
        if (tag != round.get(Round.TAG)) revert WrongTag(tag, uint64(round.get(Round.TAG)));
        ballot = _s.ballots[msg.sender];
        seat = Scores.seatOf(ballot);
        if (seat == 0 || !Ledger.isIn(Round.active(round), --seat))
            revert NotActiveValidator(msg.sender);
    }

    function _loadPhase(uint256 window_, Phase needed) private view returns (uint256) {
        uint256 round = _loadJudged(window_);
        (Phase phase, uint256 deadline) = _phaseOf(round);
        if (phase != needed) revert WrongPhase(window_, phase, needed);
        if (block.timestamp > deadline) revert TooLate(deadline);
        return round;
    }

    function _loadJudged(uint256 window_) private view returns (uint256) {
        uint256 round = _s.round;
        if (round.get(Round.STAGE) == Round.IDLE) revert NotJudgedNow(window_, 0);
        if (window_ != round.get(Round.WINDOW))
            revert NotJudgedNow(window_, round.get(Round.WINDOW));
        return round;
    }

    /// @dev As time goes by, Commit becomes Reveal, and Reveal becomes Tally.
    function _phaseOf(uint256 round) private view returns (Phase phase, uint256 deadline) {
        deadline = round.get(Round.DEADLINE);
        if (round.get(Round.STAGE) >= Round.ATTEST) return (Phase.Attest, deadline);
        if (round.get(Round.STAGE) == Round.COMMIT) {
            if (block.timestamp <= deadline) return (Phase.Commit, deadline);
            deadline += REVEAL_PERIOD;
        }
        if (block.timestamp <= deadline && !_isRevealed(round)) return (Phase.Reveal, deadline);
        return (Phase.Tally, deadline + ATTEST_PERIOD);
    }

    // ---------------------------------------------------------------------------------------------------- tally

    function tally(
        uint32 window_,
        address[] calldata authors,
        address[] calldata validators
    ) external {
        _loadPhase(window_, Phase.Tally);
        Judging.tally(_s, _rules(), _asWords(authors), _asWords(validators));
    }

    /// @dev Words are passed on as they are, without a look at each; `Judging` takes of each an address.
    function _asWords(address[] calldata accounts) private pure returns (uint256[] calldata words) {
        assembly ("memory-safe") {
            words.offset := accounts.offset
            words.length := accounts.length
        }
    }

    // --------------------------------------------------------------------------------------------- attestation

    function attestModel(uint32 window_, uint64 tag, bytes32 rootDigest, int64 metric) external {
        uint256 round = _loadPhase(window_, Phase.Attest);
        (uint256 seat, ) = _requireActive(round, tag);
        if (Ledger.isIn(round.get(Round.ATTESTED), seat)) revert AlreadyActed(msg.sender);
        _requireRoot(rootDigest, MODEL_CODEC);

        uint256 candidate;
        uint256 candidates = round.get(Round.CANDIDATES);
        while (candidate < candidates && _s.candidates[candidate] != rootDigest) ++candidate;
        if (candidate == candidates) {
            _s.candidates[candidate] = rootDigest;
            round = round.set(Round.CANDIDATES, ++candidates);
            if (candidate == 1) _s.votes = 0; // all before were for the first
        }
        if (candidates > 1) _s.votes = _s.votes.withLane(seat, 8, candidate);
        round |= Words.put(Round.ATTESTED, 1 << seat);
        emit ModelAttested(window_, msg.sender, rootDigest, metric);

        uint256 active = Round.active(round);
        uint256 attested = round.get(Round.ATTESTED);
        bool isNear =
            round.get(Round.STAGE) == Round.ATTEST &&
                LibBit.popCount(attested) >= round.get(Round.FEWEST);
        if (isNear && 3 * _s.weigh(_s.votersOf(round, candidate)) >= 2 * _s.weigh(active)) {
            round = round.set(Round.STAGE, Round.FINAL);
            uint256 version = _s.now_.get(Now.VERSION) + 1;
            _s.now_ = _s.now_.set(Now.VERSION, version);
            _s.models[version % Ledger.MODELS] = rootDigest;
            emit VersionFinalized(version, window_, rootDigest);
        }
        _s.round = round;
        if (attested == active) Judging.settle(_s, _rules());
    }

    // --------------------------------------------------------------------------------------------------- the end

    function settle(uint32 window_) external {
        uint256 round = _loadJudged(window_);
        (Phase phase, uint256 deadline) = _phaseOf(round);
        if (phase != Phase.Attest) revert WrongPhase(window_, phase, Phase.Attest);
        if (block.timestamp <= deadline) revert TooEarly(deadline + 1);
        if (block.timestamp > deadline + ATTEST_PERIOD) revert TooLate(deadline + ATTEST_PERIOD);
        Judging.settle(_s, _rules());
    }

    function discard(uint32 window_) external {
        uint256 round = _loadJudged(window_);
        (Phase phase, uint256 last) = _phaseOf(round);
        VoidReason reason = VoidReason.NotTallied;
        if (phase == Phase.Attest) {
            last += ATTEST_PERIOD;
            reason = VoidReason.NoQuorum;
        } else if (phase != Phase.Tally) {
            revert WrongPhase(window_, phase, Phase.Tally);
        } else if (3 * _s.weigh(Round.revealed(round)) < 2 * _s.weigh(Round.active(round))) {
            last = 0; // no tally can come
            reason = VoidReason.TooFewReveals;
        }
        if (block.timestamp <= last) revert TooEarly(last + 1);
        Judging.discard(_s, _rules(), reason);
    }

    // ------------------------------------------------------------------------------------------- several at once

    function multicall(bytes[] calldata calls) external {
        for (uint256 i = 0; i < calls.length; ++i)
            LibCall.delegateCallContract(address(this), calls[i]);
    }

    // --------------------------------------------------------------------------------------------------- owner

    modifier onlyOwner() {
        _requireOwner();
        _;
    }

    function _requireOwner() private view {
        if (msg.sender != owner) revert NotOwner(msg.sender);
    }

    function fund(uint256 amount) external payable nonReentrant taking(amount) {
        if (_s.now_.get(Now.FLAGS) & Now.CLOSED != 0) revert IsClosed();
        // The pool becomes credits: together they fit either's field.
        uint256 till = _s.till;
        uint256 pool = till.get(Till.POOL) + amount;
        uint256 sum = pool + till.get(Till.CREDITS);
        if (sum > type(uint104).max) revert AmountTooLarge(sum, type(uint104).max);
        _s.till = till.set(Till.POOL, pool);
        emit Funded(msg.sender, amount);
    }

    function pause() external onlyOwner {
        _setFlags(Now.PAUSED, 0);
        emit Paused();
    }

    function unpause() external onlyOwner {
        _setFlags(0, Now.PAUSED);
        emit Unpaused();
    }

    function close() external onlyOwner {
        _setFlags(Now.CLOSED, 0);
        emit Closed();
    }

    function _setFlags(uint256 set, uint256 cleared) private {
        uint256 now_ = _s.now_;
        if (now_.get(Now.FLAGS) & Now.CLOSED != 0) revert IsClosed();
        _s.now_ = now_.set(Now.FLAGS, (now_.get(Now.FLAGS) | set) & ~cleared);
    }

    function bumpInvitationEpoch() external onlyOwner {
        emit InvitationEpochBumped(++_s.invitationEpoch);
    }

    function sweepPool() external nonReentrant {
        uint256 now_ = _s.now_;
        if (now_.get(Now.FLAGS) & Now.CLOSED == 0) revert NotClosed();
        if (now_.get(Now.JUDGING) != now_.get(Now.OPEN) || now_.get(Now.UPDATES) != 0) {
            revert WindowsInFlight(now_.get(Now.JUDGING), now_.get(Now.OPEN));
        }
        uint256 amount = _s.till.get(Till.POOL);
        if (amount == 0) revert NothingToPay();
        _s.till = _s.till.set(Till.POOL, 0);
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
                slashSink: SLASH_SINK,
                currency: address(CURRENCY)
            });
    }

    function genesis() external view returns (Genesis memory) {
        return Genesis(MANIFEST, GENESIS_MODEL, MODEL_CODEC);
    }

    function head() external view returns (Head memory h) {
        uint256 now_ = _s.now_;
        h.version = uint32(now_.get(Now.VERSION));
        h.openWindow = uint32(now_.get(Now.OPEN));
        h.judgingWindow = uint32(now_.get(Now.JUDGING));
        h.effectiveSize = uint8(now_.get(Now.SIZE));
        h.paused = now_.get(Now.FLAGS) & Now.PAUSED != 0;
        h.closed = now_.get(Now.FLAGS) & Now.CLOSED != 0;
        uint256 membership = _s.membership;
        h.trainers = uint24(membership.get(Membership.TRAINERS));
        h.seats = uint32(membership.get(Membership.SEATS));
        uint256 till = _s.till;
        h.lastFinalSealedAt = uint40(till.get(Till.LAST_FINAL_SEALED_AT));
        h.pool = uint128(till.get(Till.POOL));
        h.credits = uint128(till.get(Till.CREDITS));
        h.stakes = uint128(_s.stakes);
        h.slashed = uint128(_s.slashed);
    }

    function participant(address who) external view returns (Participant memory p) {
        uint256 account = _s.accounts[who];
        p.roles = uint8(account.get(Account.ROLES));
        p.stake = uint96(account.get(Account.STAKE));
        p.exitAt = uint40(account.get(Account.EXIT_AT));
        if (account.get(Account.EXIT_AT) != 0)
            p.withdrawableAt = uint40(_withdrawableAt(account.get(Account.EXIT_AT)));
        if (block.timestamp <= account.get(Account.JAILED_UNTIL))
            p.validatorJailedUntil = uint40(account.get(Account.JAILED_UNTIL));
        p.seat = account.get(Account.SEAT) == 0 ? 255 : uint8(account.get(Account.SEAT) - 1);
        p.profile = _s.profiles[who];
        uint256 service = _s.serviceOf(account.get(Account.ID));
        p.validatorReputation = uint32(service.get(Service.REPUTATION));
        p.missed = uint8(service.get(Service.MISSED));
        p.asleep = service.get(Service.MISSED) >= Service.ASLEEP;
        uint256 merit = _s.meritOf(account.get(Account.ID));
        p.credit = uint128(_creditOf(merit, service));
        p.trainerReputation = uint32(merit.get(Merit.REPUTATION));
        p.rejections = uint8(LibBit.popCount(merit.get(Merit.HISTORY)));
        uint256 duty = _s.duties[who];
        if (block.timestamp <= duty.get(Duty.JAILED_UNTIL))
            p.trainerJailedUntil = uint40(duty.get(Duty.JAILED_UNTIL));
        if (duty.get(Duty.OLDER_BACK) != 0) {
            p.pendingWindows[0] = uint32(duty.get(Duty.WINDOW) - duty.get(Duty.OLDER_BACK));
            p.pendingIndices[0] = uint8(duty.get(Duty.OLDER_INDEX));
            p.pendingBases[0] = uint32(duty.get(Duty.BASE) - duty.get(Duty.OLDER_BASE_BACK));
            p.pendingSamples[0] = uint32(duty.get(Duty.OLDER_SAMPLES));
        }
        p.pendingWindows[1] = uint32(duty.get(Duty.WINDOW));
        p.pendingIndices[1] = uint8(duty.get(Duty.INDEX));
        p.pendingBases[1] = uint32(duty.get(Duty.BASE));
        p.pendingSamples[1] = uint32(duty.get(Duty.SAMPLES));
    }

    function seatOf(uint8 seat) external view returns (address) {
        return
            Ledger.isIn(_s.membership.get(Membership.SEATS), seat) ? _s.holderOf(seat) : address(0);
    }

    function weightOf(uint8 seat) external view returns (uint256) {
        return Ledger.isIn(Round.active(_s.round), seat) ? _s.weightOf(seat) : 0;
    }

    function window(uint32 id) external view returns (Window memory w) {
        uint256 now_ = _s.now_;
        if (!_isInRing(now_, id)) revert NoSuchWindow(id);
        uint256 header = _headerOf(now_, id);
        w.id = id;
        w.updates = uint8(header.get(Header.UPDATES));
        w.openedAt = uint40(header.get(Header.OPENED_AT));
        w.sealedAt = uint40(header.get(Header.SEALED_AT));
        w.phase = Phase.Sealed;
        if (id == now_.get(Now.OPEN)) {
            w.phase = Phase.Open;
            uint256 wait = uint256(MAX_WAIT) * (header.get(Header.UPDATES) < MIN_UPDATES ? 2 : 1);
            if (header.get(Header.UPDATES) != 0)
                w.deadline = uint40(header.get(Header.OPENED_AT) + wait);
        } else if (id < now_.get(Now.JUDGING) || header.get(Header.VOID) != 0) {
            w.phase = _outcomeOf(now_, id) == Ledger.FINAL ? Phase.Final : Phase.Void;
        }
        uint256 round = _s.round;
        if (round.get(Round.STAGE) != Round.IDLE && round.get(Round.WINDOW) == id) {
            uint256 deadline;
            (w.phase, deadline) = _phaseOf(round);
            w.deadline = uint40(deadline);
            w.tag = uint64(round.get(Round.TAG));
            w.baseVersion = uint32(now_.get(Now.VERSION));
            if (round.get(Round.STAGE) == Round.FINAL) --w.baseVersion;
            w.active = uint32(Round.active(round));
            w.committed = uint32(round.get(Round.COMMITTED));
            w.revealed = uint32(Round.revealed(round));
            w.attested = uint32(round.get(Round.ATTESTED));
        }
    }

    function update(uint256 updateId) external view returns (Update memory u) {
        uint256 now_ = _s.now_;
        (uint256 id, uint256 index) = (
            updateId / Ledger.MAX_UPDATES,
            updateId % Ledger.MAX_UPDATES
        );
        _requirePlace(now_, id, index);
        u.id = updateId;
        u.rootDigest = _s.digests[Ledger.placeOf(id, index)];
        u.rootCodec = _codecOf(now_, id, index);
        if (_outcomeOf(now_, id) == Ledger.UNTALLIED) return u;
        uint256 results = _s.results[Ledger.resultsOf(id) + index / Result.PER_WORD];
        uint256 result = results >> ((index % Result.PER_WORD) * Result.WIDTH);
        u.verdict = Verdict(result.get(Result.VERDICT) + 1);
        u.share = uint32(result.get(Result.SHARE));
    }

    function commitmentOf(uint8 seat) external view returns (bytes32 commitment) {
        uint256 round = _s.round;
        if (!Ledger.isIn(round.get(Round.COMMITTED), seat)) return 0;
        commitment = Scores.withoutSeat(_s.ballots[_s.holderOf(seat)]);
        if (!Ledger.isIn(round.get(Round.OWING), seat)) (commitment, ) = Scores.unpack(commitment);
    }

    function modelDigest(uint32 version) public view returns (bytes32) {
        uint256 latest = _s.now_.get(Now.VERSION);
        if (version > latest) revert NoSuchVersion(version);
        if (version == 0) return GENESIS_MODEL;
        if (version + Ledger.MODELS <= latest) revert VersionForgotten(version);
        return _s.models[version % Ledger.MODELS];
    }

    function cidOf(uint256 updateId) external view returns (string memory) {
        uint256 now_ = _s.now_;
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
    function _isInRing(uint256 now_, uint256 id) private pure returns (bool) {
        uint256 last = now_.get(Now.UPDATES) == 0 ? now_.get(Now.OPEN) - 1 : now_.get(Now.OPEN);
        return id != 0 && id <= now_.get(Now.OPEN) && id + Ledger.RING > last;
    }

    /// @dev Of the open window too.
    function _headerOf(uint256 now_, uint256 id) private view returns (uint256) {
        if (id != now_.get(Now.OPEN)) return _s.headers[id % Ledger.RING];
        return
            Words.put(Header.OPENED_AT, now_.get(Now.OPENED_AT)) |
            Words.put(Header.UPDATES, now_.get(Now.UPDATES)) |
            Words.put(Header.CODECS, now_.get(Now.CODECS));
    }

    /// @dev How far a window came; Ledger.UNTALLIED while it has not been tallied.
    function _outcomeOf(uint256 now_, uint256 id) private view returns (uint256) {
        if (id < now_.get(Now.JUDGING))
            return Words.lane(now_.get(Now.OUTCOMES), id % Ledger.RING, 2);
        uint256 round = _s.round;
        return
            id == round.get(Round.WINDOW) && round.get(Round.STAGE) >= Round.ATTEST
                ? Ledger.TALLIED
                : Ledger.UNTALLIED;
    }

    function _requirePlace(uint256 now_, uint256 id, uint256 index) private view {
        if (!_isInRing(now_, id) || index >= _headerOf(now_, id).get(Header.UPDATES)) {
            revert UpdateForgotten(id * Ledger.MAX_UPDATES + index);
        }
    }

    function _codecOf(uint256 now_, uint256 id, uint256 index) private view returns (uint8) {
        return Ledger.isIn(_headerOf(now_, id).get(Header.CODECS), index) ? DAG_PB : RAW;
    }

    function _roundDeadline() private view returns (uint256 deadline) {
        (, deadline) = _phaseOf(_s.round);
    }
}
