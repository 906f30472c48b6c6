// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title The specification of a BAFL federation
/// @notice One federation trains one model. Trainers submit updates (weight changes) whenever they like; up to K of
/// them make a window; validators score the window's updates on private hold-out data; the tally turns scores into
/// verdicts and shares; validators recompute the next model from the log and attest its digest; the digest that a
/// stake-weighted quorum attests becomes the next version. Payloads travel over IPFS; the chain stores root digests.
///
/// A window's life: Open -> Sealed -> (its turn) Commit -> Reveal -> Tally -> Attest -> Final or Void. Windows are
/// judged one at a time, in order; the next window is open for submissions meanwhile, so trainers never wait.
///
/// Units: shares, reputations and agreement are parts per million ("ppm", 1e6 is one); scores are basis points;
/// times are seconds; money is the smallest unit of the federation's currency, the chain's own or one ERC-20 token,
/// chosen at creation. "Stake-weighted" always means by voting weight: stake x (1/2 + validator reputation / 2), fixed
/// for the active set when a window's turn begins.
///
/// TRUST ASSUMPTIONS. Against shares of the active set's voting weight (of what revealed, without the judged update's
/// author, where it is about what is accepted):
///  - up to 1/3 can make phases last their full periods, and tip an update on which honest validators disagree: a
///    consensus stays within the range of honest scores. Above 1/3 windows can be made void; above 1/2 it can be chosen
///    what is accepted, and in some seven windows without a version the others are jailed; from 2/3 any digest can be
///    finalised (an audit detects that; it does not prevent it).
///  - the owner can invite, pause new submissions, close, and (like anyone) fund. It cannot touch stakes, scores,
///    models or rewards. An owner who invites can fill the seats with its own accounts.
///  - honest recomputation is needed by more than 1/3 of the weight: a validator can copy the first attestation.
///  - a token is trusted to keep balances: one whose balances shrink by themselves can leave the last to be paid with
///    nothing, and one that stops, or refuses an account, stops payments, but no window: judging calls no token.
///
/// NOT GUARANTEED. That a payload can still be fetched; that a harmless but useless update is refused (it is not
/// paid, but it is averaged in); that backdoors or flips which few validators can see are found; privacy of what an
/// update reveals about its data; that K distinct addresses are K distinct owners (each costs a minimum stake).
interface IFederation {
    // ------------------------------------------------------------------------------------------------- values

    /// @notice What is fixed at creation. The constructor refuses what is out of range (`ParameterOutOfRange`).
    /// On a development chain (chain id 31337 or 1337) the minima marked * are 1.
    ///
    /// | parameter        | unit     | range                              | default        |
    /// |------------------|----------|------------------------------------|----------------|
    /// | windowSize       | updates  | minUpdates..16                     | 16             |
    /// | minUpdates       | updates  | 3*..windowSize                     | 3              |
    /// | maxWait          | s        | 1..30 days                         | 1 hour         |
    /// | commitPeriod     | s        | 0 (direct reveal) or 1..7 days     | 15 min         |
    /// | revealPeriod     | s        | 1..7 days                          | 15 min         |
    /// | attestPeriod     | s        | 1..7 days                          | 30 min         |
    /// | maxStaleness     | versions | 1..1000                            | 8              |
    /// | minValidators    | seats    | 4*..32                             | 4              |
    /// | rejectBelow      | bps      | -4990..0                           | -600           |
    /// | slashPpm         | ppm of minStake | 0..20000                    | 20000          |
    /// | jailPeriod       | s        | 1..365 days                        | 1 day          |
    /// | unbondingPeriod  | s        | the ring's longest life..365 days  | 7 days         |
    /// | minStake         | money    | 1e6..2^88                          | 0.1 ether      |
    /// | rewardRate       | money/s  | 0..2^88                            | 0              |
    /// | trustSamples     | bool     | declared data sizes count in shares| false          |
    /// | open             | bool     | anyone with stake may join         | false          |
    /// | treasury         | address  | not zero; gets the pool's rest     | the owner      |
    /// | slashSink        | address  | not zero; gets slashed money       | 0x..dEaD       |
    /// | currency         | address  | an ERC-20, or zero: the native one | the native one |
    ///
    /// The ring's longest life is 2 x maxWait + 8 x (commitPeriod + revealPeriod + 3 x attestPeriod).
    struct Parameters {
        uint8 windowSize;
        uint8 minUpdates;
        uint32 maxWait;
        uint32 commitPeriod;
        uint32 revealPeriod;
        uint32 attestPeriod;
        uint16 maxStaleness;
        uint8 minValidators;
        int16 rejectBelow;
        uint32 slashPpm;
        uint32 jailPeriod;
        uint32 unbondingPeriod;
        uint96 minStake;
        uint96 rewardRate;
        bool trustSamples;
        bool open;
        address treasury;
        address slashSink;
        address currency;
    }

    /// @notice Where the model comes from. `manifest` is the sha2-256 digest of a raw IPFS block of canonical JSON;
    /// a model's size never changes, so every version's root has the codec of the genesis model.
    struct Genesis {
        bytes32 manifest;
        bytes32 model;
        uint8 modelCodec;
    }

    /// @dev Roles are bits: a participant is a trainer, a validator, or both.
    /// TRAINER = 1, VALIDATOR = 2.

    enum Phase {
        None, // no such window yet
        Open, // takes updates
        Sealed, // waits for its turn
        Commit, // validators commit to scores
        Reveal, // validators reveal scores
        Tally, // anyone may tally
        Attest, // validators attest the next model
        Final, // made a version
        Void // made none
    }

    enum Verdict {
        None, // not judged
        Rejected, // no consensus, below the floor, or beyond the keep vote
        Malformed, // its bytes break the format
        Accepted, // used, not paid: it added nothing to the median validator
        Paid // used and paid
    }

    enum VoidReason {
        TooFewUpdates, // fewer than minUpdates within 2 x maxWait
        TooFewValidators, // fewer than minValidators active at its turn
        TooFewReveals, // revealed weight below 2/3 of the active weight
        NotTallied, // nobody tallied before the deadline
        Barren, // nothing was accepted
        NoQuorum // no digest was attested by 2/3 of the active weight
    }

    enum Fault {
        CommittedNotRevealed,
        MalformedUpdate,
        WrongAttestation
    }

    /// @notice A window as views give it. `deadline` is that of the present phase: sealing (Open: 0 before the first
    /// update), the end of commits, reveals, tally or attestations; 0 once ended or waiting for its turn.
    struct Window {
        uint32 id;
        Phase phase;
        uint8 updates;
        uint40 openedAt;
        uint40 sealedAt;
        uint40 deadline;
        uint64 tag; // what commits, reveals and attestations carry (see `TurnBegan`); 0 before its turn
        uint32 baseVersion; // W: what its updates are applied to; 0 before its turn
        uint32 active; // bitmap of the seats that judge it; 0 before its turn
        uint32 committed; // bitmaps of seats
        uint32 revealed;
        uint32 attested;
    }

    /// @notice An update as views give it, while it is in the ring (else `UpdateForgotten`). Author, base, encoding
    /// and samples are in its `UpdateSubmitted` event.
    struct Update {
        uint256 id; // window x 16 + index
        bytes32 rootDigest;
        uint8 rootCodec;
        Verdict verdict;
        uint32 share; // ppm
    }

    /// @notice A participant as views give it.
    struct Participant {
        uint8 roles; // 0: not a participant
        uint96 stake;
        uint128 credit; // rewards to claim
        uint40 exitAt; // when the exit was requested; 0 if not
        uint40 withdrawableAt; // the earliest time for `withdraw`; 0 without an exit
        uint32 trainerReputation; // ppm
        uint32 validatorReputation; // ppm
        uint40 trainerJailedUntil; // 0 if not jailed
        uint40 validatorJailedUntil;
        uint8 rejections; // among the last 8 verdicts
        uint8 missed; // windows missed in a row as a validator
        bool asleep; // missed two in a row: judges only where else too few would; `wake` to judge again
        uint8 seat; // 255: none
        uint32[2] pendingWindows; // of its last two updates, older first; 0: none, or the older one has ended
        uint8[2] pendingIndices;
        uint32[2] pendingBases;
        uint32[2] pendingSamples;
        bytes32 profile;
    }

    /// @notice What a client asks first.
    struct Head {
        uint32 version; // the latest final version; 0 is the genesis model
        uint32 openWindow; // takes the next update
        uint32 judgingWindow; // the oldest window that has not ended (= openWindow when nothing waits)
        uint24 trainers; // registered, not leaving
        uint32 seats; // bitmap of taken seats
        uint8 effectiveSize; // K capped by trainers - 1, at least minUpdates
        bool paused;
        bool closed;
        uint40 lastFinalSealedAt; // sealing time of the window that made the latest version
        uint128 pool;
        uint128 stakes;
        uint128 credits;
        uint128 slashed; // waits for `sweepSlashed`
    }

    // ------------------------------------------------------------------------------------------------- events

    event FederationCreated(
        address indexed owner,
        bytes32 manifest,
        bytes32 model,
        Parameters parameters
    );

    event Joined(address indexed participant, uint8 roles, uint256 stake, bytes32 profile);
    event ProfileChanged(address indexed participant, bytes32 profile);
    event StakeAdded(address indexed participant, uint256 amount, uint256 stake);
    event SeatTaken(address indexed participant, uint8 seat);
    event SeatLeft(address indexed participant, uint8 seat);
    /// @notice It waits for the cheapest seat, until the next turn or a higher stake that waits.
    event SeatChallenged(address indexed participant, uint256 stake);
    event ExitRequested(address indexed participant, uint256 withdrawableAt);
    event Withdrawn(address indexed participant, uint256 amount);
    event FellAsleep(address indexed participant, uint256 window);
    /// @notice It woke itself, or was asked because too few were awake, and was there. Jail ends sleep without it.
    event Woke(address indexed participant);
    event InvitationAccepted(uint256 indexed nonce, address indexed participant);
    event InvitationEpochBumped(uint64 epoch);

    /// @notice The record of an update, for good. The window is updateId / 16, the index in it updateId % 16.
    event UpdateSubmitted(
        uint256 indexed updateId,
        address indexed participant,
        uint256 baseVersion,
        bytes32 rootDigest,
        uint8 rootCodec,
        uint8 encoding,
        uint32 samples
    );
    event WindowSealed(uint256 indexed window, uint256 updates);
    /// @notice A window's turn: W is `baseVersion`, the active set and its weights are fixed. `active`: bitmap of its
    /// seats (whose they are: `SeatTaken`); `weights`: one element a seat in it, ascending. `tag`: the last 64 bits of
    /// keccak256(abi.encode(chainid, contract, window, hash, root digest of W)); `hash` begins at 0 and with each update
    /// becomes the last 64 bits of keccak256(abi.encode(hash, author, base version, root digest, root codec, encoding,
    /// samples)).
    event TurnBegan(
        uint256 indexed window,
        uint256 baseVersion,
        uint64 tag,
        uint32 active,
        uint256[] weights
    );
    event ScoresCommitted(uint256 indexed window, address indexed validator, bytes32 commitment);
    /// @notice `scores`: one big-endian int16 an update, update 0 first, unused lanes zero.
    event ScoresRevealed(
        uint256 indexed window,
        address indexed validator,
        bytes32 scores,
        uint8 keep
    );
    /// @notice `consensus`: as `scores` in `ScoresRevealed` (-32768: none, -32767: malformed). `verdicts`: likewise,
    /// each a `Verdict`. `shares`: three bytes an update, in ppm. `agreement`: one element a seat that revealed,
    /// ascending seats, in ppm (-2147483648: none). `overruled`: bitmap of seats whose code stood against a consensus
    /// of real scores.
    event WindowTallied(
        uint256 indexed window,
        uint8 keep,
        bytes32 consensus,
        bytes32 verdicts,
        bytes shares,
        int256[] agreement,
        uint32 overruled
    );
    event ModelAttested(
        uint256 indexed window,
        address indexed validator,
        bytes32 rootDigest,
        int64 metric
    );
    event VersionFinalized(uint256 indexed version, uint256 indexed window, bytes32 rootDigest);
    /// @notice The end of a window that had its turn. Money credited to, and new reputation (three bytes, in ppm) of, each
    /// update's author (in the window's order; empty where trainers' standing does not change) and each validator of
    /// the active set (ascending seats, as in `TurnBegan`).
    event WindowSettled(
        uint256 indexed window,
        bool isFinal,
        uint256[] trainers,
        bytes trainerReputations,
        uint256[] validators,
        bytes validatorReputations
    );
    event WindowVoided(uint256 indexed window, VoidReason reason);
    event Slashed(address indexed participant, uint256 indexed window, Fault fault, uint256 amount);
    event Jailed(address indexed participant, uint8 role, uint256 until);

    event Funded(address indexed from, uint256 amount);
    event Claimed(address indexed participant, uint256 amount);
    event SlashedSwept(uint256 amount);
    event PoolSwept(uint256 amount);
    event Paused();
    event Unpaused();
    event Closed();

    // ------------------------------------------------------------------------------------------------- errors

    error ParameterOutOfRange(string parameter, int256 given, int256 least, int256 most);
    error ZeroAddress(string parameter);
    /// @notice There is no code at the address given as the currency.
    error NoSuchCurrency(address currency);
    error NotOwner(address caller);
    error IsPaused();
    error IsClosed();
    error NotClosed();
    error WindowsInFlight(uint256 judgingWindow, uint256 openWindow);

    /// @notice Native: another value came along. A token: another amount moved than was asked (a fee, a rebase), or
    /// native money came along, where 0 is expected. A token that refuses reverts with its own error, or with
    /// `SafeERC20FailedOperation` where it has none.
    error WrongAmount(uint256 sent, uint256 expected);
    error StakeBelowMinimum(uint256 given, uint256 minimum);
    error AmountTooLarge(uint256 given, uint256 maximum);
    error InvalidRoles(uint8 roles);
    error AlreadyParticipant(address account);
    error TooManyParticipants(uint256 maximum);
    error NotParticipant(address account);
    error InvitationRequired();
    error InvitationExpired(uint256 deadline);
    error InvitationUsed(uint256 nonce);
    error InvitationInvalid(address signer);
    error SeatTooCheap(uint256 stake, uint256 needed);
    error AlreadySeated(uint8 seat);
    error AlreadyLeaving(uint256 since);
    error NotLeaving(address account);
    error StillBonded(uint256 until);
    error StillUnjudged(uint256 window);
    error NotAsleep(address account);
    error NothingToPay();
    error TransferFailed(address to, uint256 amount);

    error NotTrainer(address account);
    error NotValidator(address account);
    error NotActiveValidator(address account);
    error JailedUntil(uint256 until);
    error BaseNotFinal(uint256 base, uint256 latest);
    error BaseTooStale(uint256 base, uint256 oldest);
    /// @notice The same base was trained before: wait for a newer version (or for the last window to end).
    error BaseNotNewer(uint256 base, uint256 last);
    error AlreadyInWindow(uint256 window);
    error TooManyPending(uint256 oldestWindow);
    /// @notice The ring is full. `retryAt`: deadline of the phase that the oldest window is in.
    error QueueFull(uint256 retryAt);
    error InvalidRoot(bytes32 rootDigest, uint8 rootCodec);
    error InvalidSamples(uint256 samples);

    error NothingToSeal(uint256 window);
    /// @notice Only one window is judged at a time; `judged` is 0 while there is none.
    error NotJudgedNow(uint256 window, uint256 judged);
    error WrongPhase(uint256 window, Phase current, Phase needed);
    error TooEarly(uint256 notBefore);
    error TooLate(uint256 deadline);
    error WrongTag(uint64 given, uint64 current);
    error AlreadyActed(address validator);
    error NothingCommitted(address validator);
    error CommitmentMismatch(bytes32 given, bytes32 committed);
    error WrongScoresLength(uint256 given, uint256 expected);
    error InvalidScore(uint256 index, int16 score);
    error InvalidKeep(uint256 keep, uint256 updates);
    error InvalidAuthors(uint256 index, address given);
    error InvalidValidators(uint256 index, address given);
    error TooFewReveals(uint256 revealedWeight, uint256 activeWeight);
    error UpdateForgotten(uint256 updateId);
    error NoSuchVersion(uint256 version);
    /// @notice Too old: its root is in its `VersionFinalized` event.
    error VersionForgotten(uint256 version);
    error NoSuchWindow(uint256 window);

    // --------------------------------------------------------------------------------------------- membership

    /// @notice Become a participant of an open federation. `stake` of the currency comes along (native: as value; a
    /// token: taken from the caller, who has approved it before).
    /// A validator takes a free seat at once and judges from the next turn; see `takeSeat` when all are taken.
    /// `profile`: sha2-256 digest of a raw IPFS block of JSON (name, multiaddrs, encryption key), or zero.
    /// An address that was here before keeps its reputations.
    function join(uint8 roles, bytes32 profile, uint256 stake) external payable;

    /// @notice Like `join`, with the owner's EIP-712 signature over
    /// Invitation(address participant,uint8 roles,uint256 nonce,uint256 deadline,uint64 epoch). Single use.
    /// An owner that is a contract is asked instead (ERC-1271).
    function joinByInvitation(
        uint8 roles,
        bytes32 profile,
        uint256 stake,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external payable;

    function setProfile(bytes32 profile) external;

    /// @notice Add to the stake; ends the effects of a stake below the minimum. Counts as weight from the next turn.
    function topUp(uint256 amount) external payable;

    /// @notice A validator without a seat takes a free one, or, with a stake at least 10 % above the lowest seated
    /// stake, that one: at once between windows, else at the next boundary as the challenger (one at a time; a
    /// higher stake replaces a waiting challenger).
    function takeSeat() external;

    /// @notice A validator that missed two windows in a row judges again from the next turn.
    function wake() external;

    /// @notice End all duties: no more submissions from now, no more judging from the next boundary.
    function requestExit() external;

    /// @notice Take the stake back, after the unbonding period and once nothing of the caller is unjudged.
    function withdraw() external;

    /// @notice Take the credited rewards. They are counted in millionths of minStake, rounded down; of what waits to be
    /// claimed, each role's part is at most 2^36 - 1 of them, and what is earned beyond that stays in the pool.
    function claim() external;

    // ------------------------------------------------------------------------------------------------- window

    /// @notice Record an update relative to `baseVersion` whose payload has this IPFS root.
    /// Check order: closed, paused, trainer, jailed, stake, base, pending, queue, root.
    /// encoding: 0 float32, 1 int8, 2 topk (validators judge whether it is allowed; the chain only records it).
    /// `samples`: at least 1, below 2^32.
    /// @dev Types and orders of arguments, here and below, give what is called often the least selectors, which the
    /// dispatcher meets first.
    function submitUpdate(
        uint32 baseVersion,
        bytes32 rootDigest,
        uint8 rootCodec,
        uint8 encoding,
        uint64 samples
    ) external returns (uint256 updateId);

    /// @notice Seal the open window: full, or `maxWait` after its first update with at least minUpdates; after
    /// 2 x maxWait with fewer it is void. Anyone. Also begins the turn of the oldest sealed window.
    function seal() external;

    /// @notice Commit to scores: keccak256(abi.encode(chainid, contract, window, tag, validator, scores, keep, salt))
    /// with scores as bytes (n big-endian int16). All but six of its bits are kept, in whose place the seat is; see
    /// `commitmentOf`.
    function commitScores(uint32 window, bytes32 commitment, uint64 tag) external;

    /// @notice Reveal scores: n big-endian int16, each in [-10000, 9990] or a code (-32768 unavailable or copy,
    /// -32767 malformed); `keep`: how many of the best to use. Direct (no commitment) where commitPeriod is 0.
    function revealScores(
        uint32 window,
        uint64 tag,
        uint8 keep,
        bytes calldata scores,
        bytes32 salt
    ) external;

    /// @notice Turn the revealed scores into verdicts and shares. Anyone, once all active validators revealed or
    /// the reveal deadline passed, with revealed weight >= 2/3 of the active weight. Never reverts for revealed
    /// input. `authors`: the window's authors in order, from its `UpdateSubmitted` events; `validators`: those who
    /// revealed, in the order of their seats; both are checked.
    /// With nothing accepted the window goes on to settlement as Barren.
    function tally(
        uint32 window,
        address[] calldata authors,
        address[] calldata validators
    ) external;

    /// @notice Attest that the window's updates make this next model (every root has the genesis model's codec).
    /// `metric`: the validator's measurement of it, in millionths of the manifest's unit; recorded, not used.
    function attestModel(uint32 window, uint64 tag, bytes32 rootDigest, int64 metric) external;

    /// @notice End a tallied window whose deadline has passed: verdicts, reputations, slashes, and rewards if it is
    /// final. Anyone, for one attestPeriod. Then the next turn begins. (The last of all attestations, and a barren tally,
    /// settle by themselves.)
    function settle(uint32 window) external;

    /// @notice End a window that cannot go on: at once after the reveal deadline with too few reveals; when nobody
    /// tallied within attestPeriod of the reveal deadline; when nobody settled within attestPeriod of the
    /// attestation deadline (a version that is final stays, unpaid). Missed reveals count; trainers' standing does
    /// not change. Bounded, calls nothing outside.
    function discard(uint32 window) external;

    // ---------------------------------------------------------------------------------------- several at once

    /// @notice Do several of these calls, encoded, in one transaction: all, or none and the first refusal. Takes no
    /// native money, so that no payment counts twice.
    function multicall(bytes[] calldata calls) external;

    // -------------------------------------------------------------------------------------------------- owner

    /// @notice Add to the reward pool. Anyone.
    function fund(uint256 amount) external payable;
    function pause() external;
    function unpause() external;
    /// @notice Take no more submissions, for good. Windows in flight finish and pay.
    function close() external;
    /// @notice Make all invitations given so far invalid.
    function bumpInvitationEpoch() external;
    /// @notice After closing and once no window is in flight: the rest of the pool to the treasury. Anyone.
    function sweepPool() external;
    /// @notice Send slashed money to the sink. Anyone.
    function sweepSlashed() external;

    // -------------------------------------------------------------------------------------------------- views

    function owner() external view returns (address);
    /// @notice The lens that answers what loops (`IFederationLens`).
    function lens() external view returns (address);
    function parameters() external view returns (Parameters memory);
    function genesis() external view returns (Genesis memory);
    function head() external view returns (Head memory);
    function participant(address account) external view returns (Participant memory);
    function seatOf(uint8 seat) external view returns (address);
    /// @notice Voting weight of a seat in the window being judged, or 0.
    function weightOf(uint8 seat) external view returns (uint256);
    function window(uint32 id) external view returns (Window memory);
    function update(uint256 updateId) external view returns (Update memory);
    /// @notice The commitment, or after the reveal the scores, of a seat in the window being judged. Of a commitment the
    /// bits 95, 111, 127, 143, 159 and 175 are zero.
    function commitmentOf(uint8 seat) external view returns (bytes32);
    /// @notice Root of a version's model: of the genesis model, version 0, and of the last 64 versions.
    function modelDigest(uint32 version) external view returns (bytes32);
    function invitationEpoch() external view returns (uint64);
    /// @notice CID of an update's payload, while it is in the ring (8 windows).
    function cidOf(uint256 updateId) external view returns (string memory);
    /// @notice CID of a version's model, likewise.
    function modelCid(uint32 version) external view returns (string memory);
    function manifestCid() external view returns (string memory);
}

/// @title Reads that loop, for clients and people
interface IFederationLens {
    /// @notice What an account can do now, and until when. Times are deadlines; 0 where there is none.
    struct Duties {
        bool canSubmit; // on the latest version
        bytes4 submitRefusal; // selector of the error that would give; 0: none
        bool canSeal;
        bool canCommit;
        bool commitsLast; // all others have: `revealScores` may come along, in one `multicall`
        bool canReveal;
        bool revealsLast; // nobody else is left to reveal: `tally` may come along, in one `multicall`
        bool canTally;
        bool canAttest;
        bool canSettle;
        bool canDiscard;
        bool canWake;
        bool canTakeSeat; // as far as seated stakes tell: a waiting challenger, or a seat about to be freed, may change it
        bool canWithdraw;
        uint256 claimable;
        uint40 actBy; // deadline of the judging phase
    }

    /// @notice Everything a node looks at, in one call and at one block.
    struct Overview {
        uint64 blockNumber;
        uint40 blockTime;
        IFederation.Head head;
        bytes32 modelDigest; // of the latest version
        IFederation.Window judging; // the oldest window that has not ended
        IFederation.Window open; // the window that takes updates
        IFederation.Participant participant;
        Duties duties;
        bytes32 commitment; // the account's, in the window being judged; after the reveal its scores
    }

    function overview(
        IFederation federation,
        address account
    ) external view returns (Overview memory);
    function duties(IFederation federation, address account) external view returns (Duties memory);
    /// @notice All seated validators: address, stake, reputation and whether they judge the present window.
    function validators(
        IFederation federation
    )
        external
        view
        returns (
            address[] memory accounts,
            IFederation.Participant[] memory participants,
            uint32 active
        );
}
