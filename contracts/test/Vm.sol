// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";

/// @title Vm: the cheatcodes our Solidity tests use
/// @notice Hardhat 3's runner is EDR with Foundry's cheatcodes, so no forge-std is needed: this is
/// the part of the interface that our tests call, at the address every runner answers on. A
/// cheatcode that is missing here and that Foundry documents can be added by its signature.
///
/// Tried on Hardhat 3.18:
/// - A suite is any contract under contracts/test with a function whose name starts with `test` or
///   `invariant`; `setUp()` runs before each; a test with arguments is fuzzed. `afterInvariant()`
///   runs at the end of each invariant run: the place to look at a handler's coverage counters.
///   The fuzzer calls what `targetContract`, `targetSelectors` and `targetSender` name in setUp().
/// - Inline settings stand in NatSpec above a test: `/// hardhat-config: fuzz.runs = 1000`,
///   `/// hardhat-config: isolate = true`.
/// - `isolate` (or `--test-profile gas`) makes every call of a test a transaction of its own:
///   accounts and slots are cold again, 21,000 and calldata are charged. `lastCallGas()` then shows
///   `gasTotalUsed` after refunds; add `gasRefunded` for the figure without.
/// - Files can be read below tests/vectors only (hardhat.config.js, fsPermissions).
/// - `hardhat test solidity contracts/test/X.t.sol --grep name` runs part of them.
/// - Not supported by the runner: deployCode, breakpoint, broadcast and the other script
///   cheatcodes, foundryVersionCmp, deriveKey, rememberKey.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    // ----- Time and chain -----

    /// @notice Sets block.timestamp. Under viaIR read the time back with `getBlockTimestamp`:
    /// the optimizer may take `block.timestamp` to be constant within a function.
    function warp(uint256 timestamp) external;
    function getBlockTimestamp() external view returns (uint256);
    function roll(uint256 height) external;
    function getBlockNumber() external view returns (uint256);
    function setBlockhash(uint256 height, bytes32 hash) external;
    function chainId(uint256 id) external;
    function fee(uint256 baseFee) external;
    function txGasPrice(uint256 price) external;

    // ----- Who calls, with what -----

    /// @notice Sets msg.sender of the next call only; an argument that makes a call uses it up.
    function prank(address sender) external;
    function prank(address sender, address origin) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function deal(address account, uint256 balance) external;
    function etch(address target, bytes calldata code) external;
    /// @notice Creation code of an artifact, "File.sol:Contract", with its libraries linked.
    function getCode(string calldata artifact) external view returns (bytes memory);
    function label(address account, string calldata name) external;
    function setNonce(address account, uint64 nonce) external;
    function getNonce(address account) external view returns (uint64);

    // ----- Keys and signatures -----

    function addr(uint256 key) external pure returns (address);
    function sign(
        uint256 key,
        bytes32 digest
    ) external pure returns (uint8 v, bytes32 r, bytes32 s);

    // ----- What must happen next -----

    /// @notice The next call must revert with exactly this data: build it with
    /// `abi.encodeWithSelector(Error.selector, arguments...)`.
    function expectRevert(bytes calldata data) external;
    /// @notice The same for an error without arguments; one with arguments does not match.
    function expectRevert(bytes4 selector) external;
    function expectRevert() external;
    /// @notice The selector must match, the arguments may be any.
    function expectPartialRevert(bytes4 selector) external;
    /// @notice The event emitted right after this line must be emitted by the next call.
    function expectEmit() external;
    function expectEmit(address emitter) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
    function expectCall(address callee, bytes calldata data) external;
    function expectCall(address callee, bytes calldata data, uint64 count) external;

    // ----- Fuzzing -----

    function assume(bool condition) external pure;
    function assumeNoRevert() external pure;
    function randomUint() external returns (uint256);
    function randomUint(uint256 min, uint256 max) external returns (uint256);
    function skip(bool skipTest, string calldata reason) external;

    // ----- Logs, storage, state -----

    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function record() external;
    function accesses(
        address target
    ) external returns (bytes32[] memory readSlots, bytes32[] memory writeSlots);
    function load(address target, bytes32 slot) external view returns (bytes32);
    function store(address target, bytes32 slot, bytes32 value) external;
    function snapshotState() external returns (uint256 id);
    function revertToState(uint256 id) external returns (bool);

    // ----- Gas -----

    function lastCallGas() external view returns (Gas memory);
    function startSnapshotGas(string calldata group, string calldata name) external;
    function stopSnapshotGas() external returns (uint256);
    function snapshotGasLastCall(
        string calldata group,
        string calldata name
    ) external returns (uint256);
    function snapshotValue(string calldata group, string calldata name, uint256 value) external;
    function pauseGasMetering() external;
    function resumeGasMetering() external;
    /// @notice Makes an address, or one slot, cold again within a transaction.
    function cool(address target) external;
    function coolSlot(address target, bytes32 slot) external;

    // ----- Files (only where the configuration permits), text -----

    function readFile(string calldata path) external view returns (string memory);
    function writeFile(string calldata path, string calldata data) external;
    function projectRoot() external view returns (string memory);
    function parseJsonUint(
        string calldata json,
        string calldata key
    ) external pure returns (uint256);
    function parseJsonUintArray(
        string calldata json,
        string calldata key
    ) external pure returns (uint256[] memory);
    function parseJsonIntArray(
        string calldata json,
        string calldata key
    ) external pure returns (int256[] memory);
    function parseJsonBytes(
        string calldata json,
        string calldata key
    ) external pure returns (bytes memory);
    function parseJsonBytes32(
        string calldata json,
        string calldata key
    ) external pure returns (bytes32);
    function parseJsonString(
        string calldata json,
        string calldata key
    ) external pure returns (string memory);
    function toString(uint256 value) external pure returns (string memory);
    function toString(int256 value) external pure returns (string memory);
    function toString(address value) external pure returns (string memory);
    function toString(bytes32 value) external pure returns (string memory);

    // ----- Assertions: failures show both sides -----

    function assertTrue(bool condition) external pure;
    function assertTrue(bool condition, string calldata why) external pure;
    function assertFalse(bool condition) external pure;
    function assertFalse(bool condition, string calldata why) external pure;
    function assertEq(bool left, bool right) external pure;
    function assertEq(bool left, bool right, string calldata why) external pure;
    function assertEq(uint256 left, uint256 right) external pure;
    function assertEq(uint256 left, uint256 right, string calldata why) external pure;
    function assertEq(int256 left, int256 right) external pure;
    function assertEq(int256 left, int256 right, string calldata why) external pure;
    function assertEq(address left, address right) external pure;
    function assertEq(address left, address right, string calldata why) external pure;
    function assertEq(bytes32 left, bytes32 right) external pure;
    function assertEq(bytes32 left, bytes32 right, string calldata why) external pure;
    function assertEq(string calldata left, string calldata right) external pure;
    function assertEq(
        string calldata left,
        string calldata right,
        string calldata why
    ) external pure;
    function assertEq(bytes calldata left, bytes calldata right) external pure;
    function assertEq(bytes calldata left, bytes calldata right, string calldata why) external pure;
    function assertEq(uint256[] calldata left, uint256[] calldata right) external pure;
    function assertEq(
        uint256[] calldata left,
        uint256[] calldata right,
        string calldata why
    ) external pure;
    function assertEq(int256[] calldata left, int256[] calldata right) external pure;
    function assertEq(
        int256[] calldata left,
        int256[] calldata right,
        string calldata why
    ) external pure;
    function assertNotEq(uint256 left, uint256 right) external pure;
    function assertNotEq(uint256 left, uint256 right, string calldata why) external pure;
    function assertNotEq(address left, address right) external pure;
    function assertNotEq(bytes32 left, bytes32 right) external pure;
    function assertLt(uint256 left, uint256 right) external pure;
    function assertLt(uint256 left, uint256 right, string calldata why) external pure;
    function assertLt(int256 left, int256 right) external pure;
    function assertLt(int256 left, int256 right, string calldata why) external pure;
    function assertLe(uint256 left, uint256 right) external pure;
    function assertLe(uint256 left, uint256 right, string calldata why) external pure;
    function assertLe(int256 left, int256 right) external pure;
    function assertLe(int256 left, int256 right, string calldata why) external pure;
    function assertGt(uint256 left, uint256 right) external pure;
    function assertGt(uint256 left, uint256 right, string calldata why) external pure;
    function assertGt(int256 left, int256 right) external pure;
    function assertGt(int256 left, int256 right, string calldata why) external pure;
    function assertGe(uint256 left, uint256 right) external pure;
    function assertGe(uint256 left, uint256 right, string calldata why) external pure;
    function assertGe(int256 left, int256 right) external pure;
    function assertGe(int256 left, int256 right, string calldata why) external pure;
    function assertApproxEqAbs(uint256 left, uint256 right, uint256 maxDelta) external pure;
    function assertApproxEqAbs(
        uint256 left,
        uint256 right,
        uint256 maxDelta,
        string calldata why
    ) external pure;
    function assertApproxEqAbs(int256 left, int256 right, uint256 maxDelta) external pure;
    function assertApproxEqAbs(
        int256 left,
        int256 right,
        uint256 maxDelta,
        string calldata why
    ) external pure;
}

/// @title Test: base of our suites
/// @notice `vm`, bounded fuzz values, named actors, and the hooks by which an invariant test says
/// what the fuzzer may call. Assertions are `vm.assertEq(...)` and its sisters.
abstract contract Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address[] private _targetContracts;
    address[] private _targetSenders;
    address[] private _excludedContracts;
    address[] private _excludedSenders;
    FuzzSelector[] private _targetSelectors;
    FuzzSelector[] private _excludedSelectors;

    // ----- Fuzzing -----

    /// @notice Maps a fuzzed value into [low, high] and leaves values within it alone.
    function bound(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        require(low <= high, "bound: low is above high");
        if (x >= low && x <= high) return x;
        uint256 size = high - low;
        if (size == type(uint256).max) return x;
        return low + (x % (size + 1));
    }

    /// @notice The same for signed values.
    function bound(int256 x, int256 low, int256 high) internal pure returns (int256) {
        require(low <= high, "bound: low is above high");
        if (x >= low && x <= high) return x;
        unchecked {
            // Wraps on purpose: the distance between two int256 fits a uint256.
            uint256 size = uint256(high) - uint256(low);
            if (size == type(uint256).max) return x;
            return int256(uint256(low) + (uint256(x) % (size + 1)));
        }
    }

    // ----- Actors -----

    /// @notice An address and its key, derived from a name and labelled with it in traces.
    function actor(string memory name) internal returns (address account, uint256 key) {
        key = uint256(keccak256(bytes(name))) >> 1;
        account = vm.addr(key);
        vm.label(account, name);
    }

    /// @notice The same with a balance, without the key.
    function fund(string memory name, uint256 balance) internal returns (address account) {
        (account, ) = actor(name);
        vm.deal(account, balance);
    }

    // ----- What an invariant run may call: set in setUp() -----

    function targetContract(address target) internal {
        _targetContracts.push(target);
    }

    function targetSelectors(address target, bytes4[] memory selectors) internal {
        _targetSelectors.push(FuzzSelector(target, selectors));
    }

    function targetSender(address sender) internal {
        _targetSenders.push(sender);
    }

    function excludeContract(address target) internal {
        _excludedContracts.push(target);
    }

    function excludeSelectors(address target, bytes4[] memory selectors) internal {
        _excludedSelectors.push(FuzzSelector(target, selectors));
    }

    function excludeSender(address sender) internal {
        _excludedSenders.push(sender);
    }

    // ----- Reading -----

    /// @notice Who sits on these seats, ascending.
    function seated(
        IFederation federation,
        uint32 seats
    ) internal view returns (address[] memory who) {
        uint256 count;
        for (uint256 rest = seats; rest != 0; rest &= rest - 1) ++count;
        who = new address[](count);
        count = 0;
        for (uint8 seat = 0; seat < 32; ++seat) {
            if ((seats >> seat) & 1 != 0) who[count++] = federation.seatOf(seat);
        }
    }

    /// @notice A window's consensus or verdict of an update, as `WindowTallied` has it.
    function scoreAt(bytes32 scores, uint256 index) internal pure returns (int256) {
        return int16(uint16(uint256(scores) >> (240 - 16 * index)));
    }

    /// @notice A number of a list that an event holds as three bytes each.
    function numberAt(bytes memory list, uint256 index) internal pure returns (uint256 number) {
        for (uint256 i = 0; i < 3; ++i) number = (number << 8) | uint8(list[3 * index + i]);
    }

    function numbersOf(bytes memory list) internal pure returns (uint256[] memory numbers) {
        numbers = new uint256[](list.length / 3);
        for (uint256 i = 0; i < numbers.length; ++i) numbers[i] = numberAt(list, i);
    }

    // ----- What the runner asks for -----

    function targetContracts() external view returns (address[] memory) {
        return _targetContracts;
    }

    function targetSelectors() external view returns (FuzzSelector[] memory) {
        return _targetSelectors;
    }

    function targetSenders() external view returns (address[] memory) {
        return _targetSenders;
    }

    function excludeContracts() external view returns (address[] memory) {
        return _excludedContracts;
    }

    function excludeSelectors() external view returns (FuzzSelector[] memory) {
        return _excludedSelectors;
    }

    function excludeSenders() external view returns (address[] memory) {
        return _excludedSenders;
    }
}
