%% @doc Hands the arrivals of an open loop to idle workers at their intended times.
%%
%% One process with workers of its own, linked to it. Between arrivals that are far enough apart it
%% sleeps; a native thread wakes it a little ahead of the next one, and it waits out the rest on the
%% clock, giving way to others at each look. Workers are made as they are needed, up to the most
%% requests in flight. The native half ({@link router_bench_nif:poll/1}) knows who is idle and what is
%% due; here stand the messages.
%%
%% An arrival is one atom in a worker's mailbox. Anything else there is a stray, left by the router or
%% its adapter: it is counted and thrown away.
%% @private
-module(router_bench_dispatcher).

-export([start_link/5, run/5, stop/1]).

-export_type([ended/0]).

%% `abandoned': requests were still being served when the patience was over; their workers were
%% killed, and the dispatcher has ended. `stack' is where the first of them was.
-type ended() :: finished | {abandoned, Stack :: [term()]}.
-define(ARRIVAL, '$router_bench_arrival').
-define(WAIT, -1).
-define(AGAIN, -2).
-define(SLEEP, -3).
-define(GROW, -4).
-define(DRAIN, -5).
-define(FINISHED, -6).
%% A wake-up that never comes would be a fault of the native thread; the run ends all the same.
-define(WAKE_TIMEOUT_MS, 60000).
-define(DRAIN_POLL_MS, 1).

%% @doc Starts a dispatcher without workers, for its share of the arrivals.
-spec start_link(router_bench_side:context(), router_bench_nif:dispatch(), router_bench_outcome:tally(),
                 WorkersMax :: pos_integer(), router_bench_share:share()) -> pid().
start_link(Context, Dispatch, Tally, WorkersMax, Share) ->
    Owner = self(),
    spawn_link(fun() -> await(Owner, Dispatch, {Context, Dispatch, Tally, WorkersMax, Share}, {}) end).

%% @doc Runs so many arrivals at a rate (of which one's own are a share) from a time on, and waits until all
%% have been answered. The caller gets `{Dispatcher, ended(), EndNs}'.
-spec run(pid(), {constant | poisson, Seed :: non_neg_integer()}, StartNs :: router_bench_nif:ns(),
          {Rate :: pos_integer(), Arrivals :: pos_integer()}, DrainMs :: pos_integer()) -> ok.
run(Dispatcher, {Spacing, Seed}, StartNs, {Rate, Arrivals}, DrainMs) ->
    Dispatcher ! {run, {Spacing, Seed, StartNs, Rate}, Arrivals, DrainMs},
    ok.

%% @doc Ends a dispatcher and its workers, and waits for the dispatcher's end. It may be in the middle
%% of a run, where it reads no message: it is killed, and its workers with it.
-spec stop(pid()) -> ok.
stop(Dispatcher) ->
    Monitor = monitor(process, Dispatcher),
    unlink(Dispatcher),
    exit(Dispatcher, kill),
    receive {'DOWN', Monitor, process, Dispatcher, _} -> ok end,
    receive {'EXIT', Dispatcher, _} -> ok after 0 -> ok end.

await(Owner, Dispatch, Place, Workers) ->
    receive
        {run, {Spacing, Seed, StartNs, Rate}, Arrivals, DrainMs} ->
            Schedule = {Spacing, Seed, StartNs, Rate, element(5, Place)},
            Waker = router_bench_nif:dispatch_begin(Dispatch, Schedule, Arrivals),
            Ended = loop(Dispatch, Place, Workers, DrainMs),
            ok = router_bench_nif:dispatch_end(Waker),
            case Ended of
                {finished, All} ->
                    Owner ! {self(), finished, router_bench_nif:now()},
                    await(Owner, Dispatch, Place, All);
                {abandoned, Stack} ->
                    Owner ! {self(), {abandoned, Stack}, router_bench_nif:now()}
            end
    end.

loop(Dispatch, Place, Workers, DrainMs) ->
    case router_bench_nif:poll(Dispatch) of
        ?WAIT ->
            erlang:yield(),
            loop(Dispatch, Place, Workers, DrainMs);
        Worker when Worker >= 0 ->
            element(Worker + 1, Workers) ! ?ARRIVAL,
            loop(Dispatch, Place, Workers, DrainMs);
        ?SLEEP ->
            receive wake -> loop(Dispatch, Place, Workers, DrainMs)
            after ?WAKE_TIMEOUT_MS -> exit(not_woken)
            end;
        ?AGAIN ->
            loop(Dispatch, Place, Workers, DrainMs);
        ?GROW ->
            Number = tuple_size(Workers),
            Worker = spawn_link(fun() -> worker(Number, Place) end),
            loop(Dispatch, Place, erlang:append_element(Workers, Worker), DrainMs);
        ?DRAIN ->
            drain(Dispatch, Workers, erlang:monotonic_time(millisecond) + DrainMs);
        ?FINISHED ->
            {finished, Workers}
    end.

drain(Dispatch, Workers, DeadlineMs) ->
    case {router_bench_nif:poll(Dispatch), erlang:monotonic_time(millisecond) < DeadlineMs} of
        {?FINISHED, _} ->
            {finished, Workers};
        {_, true} ->
            receive after ?DRAIN_POLL_MS -> drain(Dispatch, Workers, DeadlineMs) end;
        {_, false} ->
            Stack = first_stack(tuple_to_list(Workers)),
            disband(Workers),
            {abandoned, Stack}
    end.

%% Where the first worker is that is not waiting for an arrival.
first_stack(Workers) ->
    Stacks = [Stack || Worker <- Workers,
                       {current_stacktrace, [{Module, _, _, _} | _] = Stack}
                           <- [process_info(Worker, current_stacktrace)],
                       Module =/= ?MODULE],
    case Stacks of
        [First | _] -> First;
        [] -> []
    end.

%% Once all are gone, nothing more is recorded.
disband(Workers) ->
    Monitors = [begin
                    unlink(Worker),
                    exit(Worker, kill),
                    monitor(process, Worker)
                end || Worker <- tuple_to_list(Workers)],
    lists:foreach(fun(Monitor) -> receive {'DOWN', Monitor, process, _, _} -> ok end end, Monitors).

%% Workers

%% Requests have numbers of their own among all shares.
worker(Number, {#{adapter := Adapter, state := State}, Dispatch, Tally, WorkersMax, {_, Of} = Share}) ->
    {First, Step} = {router_bench_share:number(Number, Share), WorkersMax * Of},
    Request = Adapter:request(First, State),
    Has = router_bench_nif:ready(Dispatch, Number),
    serve(Has, Request, First + Step, Adapter, State, Dispatch, Tally, Number, Step).

%% The next request is built before its arrival, so that building it is not timed.
serve(0, Request, N, Adapter, State, Dispatch, Tally, Number, Step) ->
    receive
        ?ARRIVAL ->
            serve(1, Request, N, Adapter, State, Dispatch, Tally, Number, Step);
        Stray ->
            ok = router_bench_outcome:stray(Tally, Adapter, State, Stray),
            serve(0, Request, N, Adapter, State, Dispatch, Tally, Number, Step)
    end;
serve(1, Request, N, Adapter, State, Dispatch, Tally, Number, Step) ->
    StartNs = router_bench_nif:start(),
    Outcome = router_bench_outcome:route(Adapter, Request, State),
    Code = router_bench_outcome:code(Outcome),
    Has = router_bench_nif:answered(Dispatch, Number, StartNs, Code),
    ok = router_bench_outcome:note(Tally, Outcome),
    Next = Adapter:request(N, State),
    serve(Has, Next, N + Step, Adapter, State, Dispatch, Tally, Number, Step).
