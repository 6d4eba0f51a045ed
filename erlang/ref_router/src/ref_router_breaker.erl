%% @doc Lock-free circuit breaker of one provider, on two atomic words.
%%
%% The state word holds the state, the time it was entered and the probes out in half-open; the
%% window word holds the number of a tumbling window, its failures and its volume. Each changes by
%% compare-and-exchange as a whole, so that a transition happens once however many see its cause.
%%
%% closed: results are counted; at `minimum_volume' results and `error_threshold_percent' failures
%% in one window it opens. open: nothing passes for `open_ms'. half-open: up to `half_open_probes'
%% callers pass; the first success closes, the first failure opens again. A probe whose caller was
%% killed never reports: after another `open_ms' in half-open all probes are given anew.
%%
%% Whoever passes holds a permit; a result under a permit of an earlier state is ignored.
%% @private
-module(ref_router_breaker).

-export([new/2, allow/2, report/4, release/2, state/1]).
-export_type([breaker/0, settings/0, permit/0, state/0]).

-define(STATE, 1).
-define(WINDOW, 2).

%% State word: time entered in ms, 10 bits of probes, 2 bits of state.
-define(CLOSED, 0).
-define(OPEN, 1).
-define(HALF_OPEN, 2).
-define(ONE_PROBE, 2#100).
-define(WORD(SinceMs, Probes, State), (((SinceMs) bsl 12) bor ((Probes) bsl 2) bor (State))).
-define(SINCE(Word), ((Word) bsr 12)).
-define(PROBES(Word), (((Word) bsr 2) band 16#3FF)).
-define(STATE_OF(Word), ((Word) band 2#11)).

%% Window word: number of the window, 14 bits of failures, 14 bits of volume.
-define(MAX_VOLUME, 16#3FFF).

-type settings() :: #{minimum_volume := pos_integer(),
                      error_threshold_percent := 1..100,
                      window_ms := pos_integer(),
                      open_ms := pos_integer(),
                      half_open_probes := pos_integer()}.
-type state() :: closed | open | half_open.
-opaque permit() :: closed | {probe, SinceMs :: integer()}.

-record(breaker, {cells :: atomics:atomics_ref(),
                  minimum_volume :: pos_integer(),
                  error_threshold_percent :: 1..100,
                  window_ms :: pos_integer(),
                  open_ms :: pos_integer(),
                  half_open_probes :: pos_integer()}).
-opaque breaker() :: #breaker{}.

%% @doc A closed breaker with an empty window.
-spec new(settings(), NowMs :: integer()) -> breaker().
new(#{minimum_volume := MinimumVolume, error_threshold_percent := Percent, window_ms := WindowMs,
      open_ms := OpenMs, half_open_probes := Probes}, NowMs) ->
    Breaker = #breaker{cells = atomics:new(2, [{signed, true}]), minimum_volume = MinimumVolume,
                       error_threshold_percent = Percent, window_ms = WindowMs,
                       open_ms = OpenMs, half_open_probes = Probes},
    ok = empty_window(Breaker, NowMs),
    Breaker.

%% @doc Asks to pass at `NowMs' (monotonic). A permit is to be answered by {@link report/4} or
%% {@link release/2}.
-spec allow(breaker(), NowMs :: integer()) -> permit() | open.
allow(#breaker{cells = Cells} = Breaker, NowMs) ->
    allow(Breaker, NowMs, atomics:get(Cells, ?STATE)).

allow(Breaker, NowMs, Word) ->
    case ?STATE_OF(Word) of
        ?CLOSED ->
            closed;
        ?HALF_OPEN when ?PROBES(Word) < Breaker#breaker.half_open_probes ->
            probe(Breaker, NowMs, Word, Word + ?ONE_PROBE);
        _ when NowMs - ?SINCE(Word) >= Breaker#breaker.open_ms ->
            probe(Breaker, NowMs, Word, ?WORD(NowMs, 1, ?HALF_OPEN));
        _ ->
            open
    end.

probe(#breaker{cells = Cells} = Breaker, NowMs, Word, Next) ->
    case atomics:compare_exchange(Cells, ?STATE, Word, Next) of
        ok -> {probe, ?SINCE(Next)};
        Actual -> allow(Breaker, NowMs, Actual)
    end.

%% @doc Tells what became of a permit; `opened' if this very result opened the breaker.
-spec report(breaker(), permit(), success | failure, NowMs :: integer()) -> ok | opened.
report(#breaker{cells = Cells} = Breaker, closed, Result, NowMs) ->
    Word = atomics:get(Cells, ?STATE),
    case ?STATE_OF(Word) of
        ?CLOSED ->
            Held = atomics:get(Cells, ?WINDOW),
            Number = NowMs div Breaker#breaker.window_ms,
            case is_too_bad(Breaker, count(Breaker, Result, Number, Held)) of
                true -> open(Breaker, Word, NowMs);
                false -> ok
            end;
        _ ->
            ok
    end;
report(#breaker{cells = Cells} = Breaker, {probe, SinceMs}, Result, NowMs) ->
    Word = atomics:get(Cells, ?STATE),
    case is_epoch(Word, SinceMs) of
        true when Result =:= success -> close(Breaker, SinceMs, Word, NowMs);
        true -> reopen(Breaker, SinceMs, Word, NowMs);
        false -> ok
    end.

%% @doc Gives a permit back unused: there is no result.
-spec release(breaker(), permit()) -> ok.
release(_Breaker, closed) ->
    ok;
release(#breaker{cells = Cells} = Breaker, {probe, SinceMs} = Permit) ->
    Word = atomics:get(Cells, ?STATE),
    case is_epoch(Word, SinceMs) of
        true ->
            case atomics:compare_exchange(Cells, ?STATE, Word, Word - ?ONE_PROBE) of
                ok -> ok;
                _Changed -> release(Breaker, Permit)
            end;
        false ->
            ok
    end.

%% @doc The state as last set: an open breaker turns half-open when it is next asked.
-spec state(breaker()) -> state().
state(#breaker{cells = Cells}) ->
    case ?STATE_OF(atomics:get(Cells, ?STATE)) of
        ?CLOSED -> closed;
        ?OPEN -> open;
        ?HALF_OPEN -> half_open
    end.

%% Counts into the window held, or into a new one if that is over. A caller whose clock reading is
%% behind the window held counts into it too: it must not wind the window back.
count(#breaker{cells = Cells} = Breaker, Result, Number, Held) ->
    Word = add(Result, current(Held, Number)),
    case atomics:compare_exchange(Cells, ?WINDOW, Held, Word) of
        ok -> Word;
        Actual -> count(Breaker, Result, Number, Actual)
    end.

current(Held, Number) when Held bsr 28 < Number -> Number bsl 28;
current(Held, _Number) -> Held.

%% A full volume is halved together with its failures: the ratio survives.
add(Result, Word) when Word band ?MAX_VOLUME =:= ?MAX_VOLUME ->
    Halved = ((failures(Word) div 2) bsl 14) bor (?MAX_VOLUME div 2),
    add(Result, ((Word bsr 28) bsl 28) bor Halved);
add(success, Word) ->
    Word + 1;
add(failure, Word) ->
    Word + 1 + (1 bsl 14).

is_too_bad(#breaker{minimum_volume = MinimumVolume, error_threshold_percent = Percent}, Word) ->
    Failures = failures(Word),
    Volume = Word band ?MAX_VOLUME,
    Failures > 0 andalso Volume >= MinimumVolume andalso Failures * 100 >= Percent * Volume.

failures(Word) ->
    (Word bsr 14) band ?MAX_VOLUME.

empty_window(#breaker{cells = Cells, window_ms = WindowMs}, NowMs) ->
    atomics:put(Cells, ?WINDOW, (NowMs div WindowMs) bsl 28).

open(#breaker{cells = Cells}, Word, NowMs) ->
    case atomics:compare_exchange(Cells, ?STATE, Word, ?WORD(NowMs, 0, ?OPEN)) of
        ok -> opened;
        _Changed -> ok
    end.

%% A probe taken or released meanwhile changes the word but not the epoch: try again.
reopen(Breaker, SinceMs, Word, NowMs) ->
    case open(Breaker, Word, NowMs) of
        opened -> opened;
        ok -> report(Breaker, {probe, SinceMs}, failure, NowMs)
    end.

%% The window is emptied first: what made the breaker open must not open it again.
close(#breaker{cells = Cells} = Breaker, SinceMs, Word, NowMs) ->
    ok = empty_window(Breaker, NowMs),
    case atomics:compare_exchange(Cells, ?STATE, Word, ?WORD(NowMs, 0, ?CLOSED)) of
        ok -> ok;
        _Changed -> report(Breaker, {probe, SinceMs}, success, NowMs)
    end.

is_epoch(Word, SinceMs) ->
    ?STATE_OF(Word) =:= ?HALF_OPEN andalso ?SINCE(Word) =:= SinceMs.
