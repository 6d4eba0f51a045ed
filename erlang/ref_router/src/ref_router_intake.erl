%% @doc The intake: how many callers may be in flight, how many may wait, and when that counts as
%% backpressure.
%%
%% One atomic word holds the slots in flight, the callers queued and the backpressure flag. It
%% changes only by compare-and-exchange as a whole, hence:
%%
%% Invariant: in flight and queued never exceed their limits, not even for an instant (a limit that
%% is lowered holds for newcomers; the queue still gets the slots left).
%% Invariant: the flag is a function of the word before and its load (in flight + queued), so an
%% edge is seen by exactly one caller, the one whose exchange made it, and counted once.
%% Invariant: who leaves sees in the same word whether anybody waits, and then hands its slot to
%% the queue instead of freeing it: no wake-up is lost and nobody overtakes the queue.
%%
%% A caller killed between enter and leave cannot give its slot back. Each slot is therefore also
%% counted in one of two leases; the janitor switches between them every `lease_ms' and first takes
%% back what is left in the older one. Consequence: a lost slot returns after one to two leases; a
%% caller in flight for longer than a lease may lose its slot to another, so concurrency may
%% exceed the limit by the number of such callers. (A caller killed in the few nanoseconds between
%% taking its slot and taking its lease is not covered.)
%% @private
-module(ref_router_intake).

-export([enter/0, leave/1, hold/1, release/1, in_flight/0, queued/0, is_backpressure_active/0]).
-export([create/2, erase/0, limit/2, join/1, promote/1, cancel/1, lease/1, give_back/1,
         expire_lease/0]).
-export_type([intake/0, slot/0, limits/0]).

-define(HANDLE, {?MODULE, handle}).

-define(WORD, 1).
-define(HELD, 2).
-define(LEASE, 3).
-define(LEASED(Lease), (4 + (Lease))).
-define(CELLS, 5).

%% The word: slots in flight, 24 bits of callers queued, 1 bit of backpressure.
-define(ACTIVE, 1).
-define(ONE_QUEUED, (1 bsl 1)).
-define(ONE_IN_FLIGHT, (1 bsl 25)).
-define(IN_FLIGHT(Word), ((Word) bsr 25)).
-define(QUEUED(Word), (((Word) bsr 1) band 16#FFFFFF)).

-type limits() :: #{max_in_flight := pos_integer(),
                    max_queue := non_neg_integer(),
                    high_watermark := pos_integer(),
                    low_watermark := non_neg_integer(),
                    lease_ms := pos_integer()}.

-record(intake, {cells :: atomics:atomics_ref(),
                 queue :: pid(),
                 max_in_flight :: pos_integer(),
                 max_queue :: non_neg_integer(),
                 high_watermark :: pos_integer(),
                 low_watermark :: non_neg_integer()}).
-opaque intake() :: #intake{}.
-opaque slot() :: {intake(), Lease :: 0..1}.

%% For callers

%% @doc Takes a slot, waiting in the queue if all are taken and the queue has room. The slot must
%% be given to {@link leave/1}.
-spec enter() -> {ok, slot()} | {rejected, overloaded} | {error, not_started | unavailable}.
enter() ->
    case persistent_term:get(?HANDLE, undefined) of
        undefined -> {error, not_started};
        Intake -> enter(Intake)
    end.

enter(#intake{queue = Queue} = Intake) ->
    case take(Intake) of
        ok -> {ok, lease(Intake)};
        queue_full -> {rejected, overloaded};
        full -> ref_router_queue:wait(Queue)
    end.

%% @doc Gives a slot back, to who waits longest if anybody waits.
-spec leave(slot()) -> ok.
leave({#intake{cells = Cells} = Intake, Lease}) ->
    case decrement(Cells, ?LEASED(Lease), atomics:get(Cells, ?LEASED(Lease))) of
        true -> give_back(Intake);
        false -> ok
    end.

%% @doc Takes up to `Slots' free slots, as callers that do not leave would, and says how many it
%% got. Held slots have no lease and no owner: they stay until {@link release/1}.
-spec hold(Slots :: non_neg_integer()) -> Held :: non_neg_integer().
hold(Slots) ->
    hold(persistent_term:get(?HANDLE), Slots, 0).

hold(_Intake, Slots, Slots) ->
    Slots;
hold(#intake{cells = Cells} = Intake, Slots, Held) ->
    case take(Intake) of
        ok ->
            ok = atomics:add(Cells, ?HELD, 1),
            hold(Intake, Slots, Held + 1);
        _Full ->
            Held
    end.

%% @doc Gives back up to `Slots' of the slots held and says how many it gave back.
-spec release(Slots :: non_neg_integer()) -> Released :: non_neg_integer().
release(Slots) ->
    release(persistent_term:get(?HANDLE), Slots, 0).

release(_Intake, Slots, Slots) ->
    Slots;
release(#intake{cells = Cells} = Intake, Slots, Released) ->
    case decrement(Cells, ?HELD, atomics:get(Cells, ?HELD)) of
        true ->
            ok = give_back(Intake),
            release(Intake, Slots, Released + 1);
        false ->
            Released
    end.

%% @doc Slots taken.
-spec in_flight() -> non_neg_integer().
in_flight() ->
    ?IN_FLIGHT(word()).

%% @doc Callers waiting.
-spec queued() -> non_neg_integer().
queued() ->
    ?QUEUED(word()).

%% @doc Whether backpressure is active.
-spec is_backpressure_active() -> boolean().
is_backpressure_active() ->
    word() band ?ACTIVE =:= ?ACTIVE.

word() ->
    case persistent_term:get(?HANDLE, undefined) of
        undefined -> 0;
        #intake{cells = Cells} -> atomics:get(Cells, ?WORD)
    end.

%% For the queue process and the janitor

%% @doc Publishes a new intake with nobody in it, served by the process `Queue'. Who is in flight
%% in an earlier one leaves that one.
-spec create(limits(), Queue :: pid()) -> intake().
create(Limits, Queue) ->
    limit(#intake{cells = atomics:new(?CELLS, [{signed, false}]), queue = Queue,
                  max_in_flight = 1, max_queue = 0, high_watermark = 1, low_watermark = 0},
          Limits).

%% @doc Publishes other limits for the same intake.
-spec limit(intake(), limits()) -> intake().
limit(Intake, #{max_in_flight := MaxInFlight, max_queue := MaxQueue,
                high_watermark := High, low_watermark := Low}) ->
    Limited = Intake#intake{max_in_flight = MaxInFlight, max_queue = MaxQueue,
                            high_watermark = High, low_watermark = Low},
    ok = persistent_term:put(?HANDLE, Limited),
    Limited.

%% @doc Erases the handle of the intake.
-spec erase() -> ok.
erase() ->
    _ = persistent_term:erase(?HANDLE),
    ok.

%% @doc Takes a slot, else a place in the queue. The queue process only: a place is taken by who
%% watches the waiter.
-spec join(intake()) -> in_flight | queued | overloaded.
join(#intake{cells = Cells} = Intake) ->
    join(Intake, atomics:get(Cells, ?WORD)).

join(Intake, Word) ->
    {Change, Joined} = case is_full(Intake, Word) of
                           false -> {?ONE_IN_FLIGHT, in_flight};
                           full -> {?ONE_QUEUED, queued};
                           queue_full -> {0, overloaded}
                       end,
    case exchange(Intake, Word, Word + Change) of
        ok -> Joined;
        Actual -> join(Intake, Actual)
    end.

%% @doc Turns a place in the queue into a slot, if there are both: after a limit was raised.
-spec promote(intake()) -> boolean().
promote(#intake{cells = Cells} = Intake) ->
    Word = atomics:get(Cells, ?WORD),
    case ?QUEUED(Word) > 0 andalso is_full(Intake, Word) =:= false of
        true ->
            case exchange(Intake, Word, Word - ?ONE_QUEUED + ?ONE_IN_FLIGHT) of
                ok -> true;
                _Changed -> promote(Intake)
            end;
        false ->
            false
    end.

%% @doc Gives a place in the queue back. If there is none left, a slot is on its way for it.
-spec cancel(intake()) -> ok.
cancel(#intake{cells = Cells} = Intake) ->
    cancel(Intake, atomics:get(Cells, ?WORD)).

cancel(_Intake, Word) when ?QUEUED(Word) =:= 0 ->
    ok;
cancel(Intake, Word) ->
    case exchange(Intake, Word, Word - ?ONE_QUEUED) of
        ok -> ok;
        Actual -> cancel(Intake, Actual)
    end.

%% @doc Puts a slot taken under the present lease.
-spec lease(intake()) -> slot().
lease(#intake{cells = Cells} = Intake) ->
    Lease = atomics:get(Cells, ?LEASE),
    ok = atomics:add(Cells, ?LEASED(Lease), 1),
    {Intake, Lease}.

%% @doc Gives back a slot that has no lease.
-spec give_back(intake()) -> ok.
give_back(#intake{cells = Cells} = Intake) ->
    give_back(Intake, atomics:get(Cells, ?WORD)).

give_back(#intake{queue = Queue} = Intake, Word) when ?QUEUED(Word) > 0 ->
    case exchange(Intake, Word, Word - ?ONE_QUEUED) of
        ok -> ref_router_queue:hand_over(Queue);
        Actual -> give_back(Intake, Actual)
    end;
give_back(Intake, Word) ->
    case exchange(Intake, Word, Word - ?ONE_IN_FLIGHT) of
        ok -> ok;
        Actual -> give_back(Intake, Actual)
    end.

%% @doc Takes back what is left in the older lease and starts a new one in its place; says how many
%% slots that were.
-spec expire_lease() -> non_neg_integer().
expire_lease() ->
    #intake{cells = Cells} = Intake = persistent_term:get(?HANDLE),
    Older = 1 - atomics:get(Cells, ?LEASE),
    Lost = atomics:exchange(Cells, ?LEASED(Older), 0),
    lists:foreach(fun(_) ->
                          ok = ref_router_counters:add(slots_reclaimed_total),
                          give_back(Intake)
                  end, lists:seq(1, Lost)),
    ok = atomics:put(Cells, ?LEASE, Older),
    Lost.

take(#intake{cells = Cells} = Intake) ->
    take(Intake, atomics:get(Cells, ?WORD)).

take(Intake, Word) ->
    case is_full(Intake, Word) of
        false ->
            case exchange(Intake, Word, Word + ?ONE_IN_FLIGHT) of
                ok -> ok;
                Actual -> take(Intake, Actual)
            end;
        Full ->
            Full
    end.

is_full(#intake{max_in_flight = Max}, Word) when ?IN_FLIGHT(Word) < Max -> false;
is_full(#intake{max_queue = Max}, Word) when ?QUEUED(Word) < Max -> full;
is_full(_Intake, _Word) -> queue_full.

%% The only way to change the word.
exchange(#intake{cells = Cells} = Intake, Old, Changed) ->
    New = flag(Intake, Changed, ?IN_FLIGHT(Changed) + ?QUEUED(Changed)),
    case atomics:compare_exchange(Cells, ?WORD, Old, New) of
        ok -> count_edge((New band ?ACTIVE) - (Old band ?ACTIVE));
        Actual -> Actual
    end.

flag(#intake{high_watermark = High}, Word, Load) when Load >= High -> Word bor ?ACTIVE;
flag(#intake{low_watermark = Low}, Word, Load) when Load =< Low -> Word band (bnot ?ACTIVE);
flag(_Intake, Word, _Load) -> Word.

count_edge(0) -> ok;
count_edge(1) -> ref_router_counters:add(backpressure_active_total);
count_edge(-1) -> ref_router_counters:add(backpressure_cleared_total).

%% `false' if there is nothing left, as after the janitor took a slot back.
decrement(_Cells, _Cell, 0) ->
    false;
decrement(Cells, Cell, Count) ->
    case atomics:compare_exchange(Cells, Cell, Count, Count - 1) of
        ok -> true;
        Actual -> decrement(Cells, Cell, Actual)
    end.
