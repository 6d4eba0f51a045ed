%% @doc What the VM does while a pass goes on without trace: its counters, its queues, what runs for long.
%%
%% A process of high priority, linked to its owner, which looks from {@link start/1} to {@link stop/1}.
%% @private
-module(router_bench_work).

-export([start/1, stop/1, locks/1]).

-export_type([seen/0]).

-type seen() :: #{work := map(), long_runs := [map()], locks => [map()],
                  seen := #{router_bench_scope:who() =>
                                #{reductions := non_neg_integer(), queue_max := non_neg_integer()}}}.

-define(INTERVAL_MS, 5).
%% Ten timer slices: what runs longer was not interrupted where it should have been.
-define(LONG_MS, 10).
-define(LONG_RUNS_MAX, 100).
-define(LOCKS_MAX, 100).
%% Mailboxes that are looked at, the project's first.
-define(MAILBOXES_MAX, 200).
-define(STOP_TIMEOUT_MS, 10000).

%% Detailed states, where an emulator was made with them, as part of the plain one that it else counts to.
-define(STATES, #{aux => aux, check_io => check_io, emulator => emulator, gc => gc, other => other,
                  port => port, sleep => sleep, alloc => emulator, bif => emulator, busy_wait => other,
                  ets => emulator, gc_full => gc, nif => emulator, send => emulator, timers => other}).

%% @doc Looks from now on.
-spec start(router_bench_scope:scope()) -> pid().
start(Scope) ->
    Owner = self(),
    Watch = spawn_opt(fun() -> watch(Owner, Scope) end, [link, {priority, high}]),
    receive {Watch, started} -> Watch end.

%% @doc Ends, and gives what was seen.
-spec stop(pid()) -> seen().
stop(Watch) ->
    Watch ! {stop, self()},
    receive {Watch, Seen} -> Seen
    after ?STOP_TIMEOUT_MS -> exit({no_answer, what_watches_a_pass})
    end.

watch(Owner, Scope) ->
    Of = who(Scope),
    {Own, Others} = lists:partition(fun({_, {_, IsOwn}}) -> IsOwn end, maps:to_list(Of)),
    Mailboxes = [Pid || {Pid, _} <- lists:sublist(Own ++ Others, ?MAILBOXES_MAX)],
    % Where somebody else has the place, nothing is seen of long runs.
    _ = router_bench_monitor:take([{long_schedule, ?LONG_MS}]),
    _ = [erts_debug:lcnt_clear() || counts_locks()],
    Reductions = reductions(Of),
    _ = erlang:system_flag(microstate_accounting, reset),
    _ = erlang:system_flag(microstate_accounting, true),
    Before = statistics(),
    Owner ! {self(), started},
    {Queue, Queues, Long} = look(Owner, Scope, Mailboxes, {0, #{}, #{}}),
    After = statistics(),
    _ = erlang:system_flag(microstate_accounting, false),
    SchedulerUs = scheduler_us(erlang:statistics(microstate_accounting)),
    Locks = [{locks, locks(erts_debug:lcnt_collect())} || counts_locks()],
    _ = router_bench_monitor:give_back(),
    Work = maps:map(fun(Name, Value) -> max(0, Value - maps:get(Name, Before)) end, After),
    Owner ! {self(), (maps:from_list(Locks))#{work => Work#{run_queue_max => Queue, scheduler_us => SchedulerUs},
                                              long_runs => long_runs(Long),
                                              seen => seen(Reductions, Queues, Scope)}}.

%% The processes that are not the bench's own.
who(Scope) ->
    maps:from_list([{Pid, Who} || Pid <- processes(), {_, _} = Who <- [router_bench_scope:who(Pid, Scope)]]).

look(Owner, Scope, Mailboxes, {Queue, Queues, Long}) ->
    receive
        {stop, Owner} ->
            {Queue, Queues, Long};
        {monitor, Pid, long_schedule, Info} when is_pid(Pid), map_size(Long) < ?LONG_RUNS_MAX ->
            look(Owner, Scope, Mailboxes, {Queue, Queues, noted(Pid, Info, Scope, Long)});
        {monitor, _, _, _} ->
            look(Owner, Scope, Mailboxes, {Queue, Queues, Long})
    after ?INTERVAL_MS ->
            Now = max(Queue, statistics(total_run_queue_lengths)),
            look(Owner, Scope, Mailboxes, {Now, lists:foldl(fun longest/2, Queues, Mailboxes), Long})
    end.

longest(Pid, Queues) ->
    case process_info(Pid, message_queue_len) of
        {message_queue_len, Length} -> Queues#{Pid => max(Length, maps:get(Pid, Queues, 0))};
        undefined -> Queues
    end.

statistics() ->
    {Collections, Words, 0} = statistics(garbage_collection),
    {Switches, 0} = statistics(context_switches),
    {Reductions, _} = statistics(exact_reductions),
    {ProcessorMs, _} = statistics(runtime),
    #{wall_us => erlang:monotonic_time(microsecond), processor_us => ProcessorMs * 1000,
      reductions => Reductions, collections => Collections, reclaimed_words => Words,
      context_switches => Switches}.

scheduler_us(Threads) ->
    Add = fun(State, Ticks, Sums) ->
                  Us = erlang:convert_time_unit(Ticks, perf_counter, microsecond),
                  maps:update_with(maps:get(State, ?STATES, other), fun(Sum) -> Sum + Us end, Us, Sums)
          end,
    lists:foldl(fun(#{counters := Counters}, Sums) -> maps:fold(Add, Sums, Counters) end, #{},
                [Thread || #{type := scheduler} = Thread <- Threads]).

%% Processes

reductions(Of) ->
    maps:from_list([{Pid, Reductions} || Pid <- maps:keys(Of),
                                         {reductions, Reductions} <- [process_info(Pid, reductions)]]).

%% One that has come meanwhile has had all of its reductions in the pass.
seen(Before, Queues, Scope) ->
    Of = who(Scope),
    maps:fold(fun(Pid, Reductions, Seen) ->
                      Now = #{reductions => max(0, Reductions - maps:get(Pid, Before, 0)),
                              queue_max => maps:get(Pid, Queues, 0)},
                      maps:update_with(maps:get(Pid, Of), fun(So) -> together(So, Now) end, Now, Seen)
              end, #{}, reductions(Of)).

together(#{reductions := R1, queue_max := Q1}, #{reductions := R2, queue_max := Q2}) ->
    #{reductions => R1 + R2, queue_max => max(Q1, Q2)}.

%% Long runs

noted(Pid, Info, Scope, Long) ->
    {timeout, Ms} = lists:keyfind(timeout, 1, Info),
    Name = case router_bench_scope:who(Pid, Scope) of
               {Who, _} -> Who;
               gone -> <<"a process that has ended">>;
               bench -> <<"the bench">>
           end,
    Place = case [Call || Where <- [out, in], {W, {_, _, _} = Call} <- Info, W =:= Where] of
                [Call | _] -> router_bench_scope:call(Call);
                [] -> <<"a place that is not known">>
            end,
    maps:update_with({Name, Place}, fun({Count, Longest}) -> {Count + 1, max(Longest, Ms)} end, {1, Ms}, Long).

long_runs(Long) ->
    Rows = lists:reverse(lists:sort([{Count, Longest, Key} || {Key, {Count, Longest}} <- maps:to_list(Long)])),
    [#{process => Process, place => Place, count => Count, at_least_ms => ?LONG_MS, longest_ms => Longest}
     || {Count, Longest, {Process, Place}} <- Rows].

%% Locks

counts_locks() ->
    erlang:system_info(lock_counting) =:= true.

%% @doc What an emulator that counts its locks has counted, by most waiting.
-spec locks([{duration, term()} | {locks, [tuple()]}]) -> [map()].
locks(Collected) ->
    {locks, Locks} = lists:keyfind(locks, 1, Collected),
    Sums = lists:foldl(fun({Class, Id, _Type, Places}, Sums) ->
                               lists:foldl(fun(Place, So) -> add(lock_name(Class, Id), Place, So) end, Sums,
                                           Places)
                       end, #{}, Locks),
    Rows = lists:reverse(lists:sort([{WaitedUs, Collisions, Tries, Name}
                                     || {Name, {Tries, Collisions, WaitedUs}} <- maps:to_list(Sums)])),
    [#{name => Name, tries => Tries, collisions => Collisions, waited_us => WaitedUs}
     || {WaitedUs, Collisions, Tries, Name} <- lists:sublist(Rows, ?LOCKS_MAX)].

%% Locks of one class are many where their name is a number or a process.
lock_name(Class, Id) when is_atom(Id) ->
    router_bench_text:line([atom_to_list(Class), $ , atom_to_list(Id)], 100);
lock_name(Class, _Id) ->
    router_bench_scope:name(Class).

add(Name, {_FileAndLine, {Tries, Collisions, {S, Ns, _Waits}}, _Histogram}, Sums) ->
    Us = S * 1000000 + Ns div 1000,
    maps:update_with(Name, fun({T, C, W}) -> {T + Tries, C + Collisions, W + Us} end,
                     {Tries, Collisions, Us}, Sums).
