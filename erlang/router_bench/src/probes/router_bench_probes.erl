%% @doc What is read inside the VM while a block is measured: a table of probes.
%%
%% A probe is one call; it answers one value for each of its series, or `absent' for one that
%% cannot be read here. The table says what a call costs by its class, and the class says how often
%% it may be made: a probe must not become the load that it measures.
%%
%% A source is opened, read and closed by one process: the scheduler wall time flag of the VM lives
%% as long as the process that has set it.
%% @private
-module(router_bench_probes).

-export([table/0, interval_ms/2, open/2, read/2, close/1]).

-export_type([probe/0, class/0, unit/0, value/0, source/0]).

%% `gated': on the plan's cadence, since a metric of the contract comes of it.
%% `cheap': reads words of memory, within a microsecond or a few.
%% `expensive': asks every scheduler and waits for each, or enters the kernel.
-type class() :: gated | cheap | expensive.
%% `native': only the ratio of two such series has a meaning. `flag': 0 or 1.
-type unit() :: byte | count | flag | message | native | word.
-type value() :: non_neg_integer() | absent.
-type probe() :: #{name := atom(), class := class(), help := string(),
                   series := [{Name :: atom(), unit()}, ...],
                   function := fun((source()) -> [value(), ...])}. % in the order of `series'
-opaque source() :: #{adapter := module(), state := router_bench_adapter:state(),
                      processes := [atom()]}.

%% 10 and 2 readings a second.
-define(CHEAP_INTERVAL_MS, 100).
-define(EXPENSIVE_INTERVAL_MS, 500).
%% Mailboxes that are looked at: the first of those that the adapter names.
-define(PROCESSES_MAX, 16).

%% @doc All probes; what is gated comes first, and is read first.
-spec table() -> [probe(), ...].
table() ->
    [#{name => memory, class => gated,
       help => "Allocated blocks by class, as erlang:memory/0 has them; not what the operating "
               "system gave, and nothing of the native library.",
       series => [{memory_total, byte}, {memory_processes_used, byte}, {memory_binary, byte},
                  {memory_ets, byte}, {memory_atom_used, byte}, {memory_code, byte},
                  {memory_system, byte}],
       function => fun memory/1},
     #{name => router, class => gated,
       help => "The router's own counters, and whether backpressure is active.",
       series => [{errors_total, count}, {backpressure_active_total, count},
                  {backpressure_active, flag}],
       function => fun router/1},
     #{name => run_queue, class => cheap,
       help => "Processes and ports that wait for a scheduler, in all queues with the dirty ones.",
       series => [{run_queue, count}],
       function => fun run_queue/1},
     #{name => reductions, class => cheap,
       help => "Reductions since the VM started; those of a running time slice are not in yet.",
       series => [{reductions, count}],
       function => fun reductions/1},
     #{name => population, class => cheap,
       help => "Processes, ports, ETS tables and atoms that there are.",
       series => [{process_count, count}, {port_count, count}, {ets_count, count},
                  {atom_count, count}],
       function => fun population/1},
     #{name => mailbox, class => cheap,
       help => "Messages in the longest mailbox of the processes that the adapter names. A busy "
               "process is asked by a signal, and its answer waited for.",
       series => [{longest_mailbox, message}],
       function => fun mailbox/1},
     #{name => garbage_collection, class => expensive,
       help => "Collections since the VM started, and the words that they reclaimed.",
       series => [{garbage_collections, count}, {garbage_collected, word}],
       function => fun garbage_collection/1},
     #{name => schedulers, class => expensive,
       help => "Time that schedulers were busy and time that passed, summed over the normal ones "
               "and over the dirty ones (CPU and I/O).",
       series => [{schedulers_normal_active, native}, {schedulers_normal_total, native},
                  {schedulers_dirty_active, native}, {schedulers_dirty_total, native}],
       function => fun schedulers/1},
     #{name => rss, class => expensive,
       help => "Resident memory of the operating system process, from /proc/self/statm.",
       series => [{rss, byte}],
       function => fun rss/1}].

%% @doc How often a class is read, never more often than the plan says.
-spec interval_ms(class(), PlanMs :: pos_integer()) -> pos_integer().
interval_ms(gated, PlanMs) -> PlanMs;
interval_ms(cheap, PlanMs) -> max(?CHEAP_INTERVAL_MS, PlanMs);
interval_ms(expensive, PlanMs) -> max(?EXPENSIVE_INTERVAL_MS, PlanMs).

%% @doc Prepares for reading in the calling process, and sets its scheduler wall time flag.
-spec open(module(), router_bench_adapter:state()) -> source().
open(Adapter, State) ->
    _ = erlang:system_flag(scheduler_wall_time, true),
    Processes = case erlang:function_exported(Adapter, processes, 1) of
                    true -> lists:sublist(Adapter:processes(State), ?PROCESSES_MAX);
                    false -> []
                end,
    #{adapter => Adapter, state => State, processes => Processes}.

%% @doc Reads one probe.
-spec read(probe(), source()) -> [value(), ...].
read(#{function := Function}, Source) ->
    Function(Source).

%% @doc Unsets the flag, in the process that opened the source.
-spec close(source()) -> ok.
close(_Source) ->
    _ = erlang:system_flag(scheduler_wall_time, false),
    ok.

memory(_Source) ->
    % One call for all classes: they belong to one instant, and it costs what `total' alone costs.
    Memory = maps:from_list(erlang:memory()),
    [maps:get(Class, Memory) || Class <- [total, processes_used, binary, ets, atom_used, code,
                                          system]].

router(#{adapter := Adapter, state := State}) ->
    Counters = Adapter:counters(State),
    [count(maps:get(Key, Counters, absent)) || Key <- [errors_total, backpressure_active_total]]
        ++ [flag(maps:get(backpressure_active, Counters, absent))].

count(Count) when is_integer(Count), Count >= 0 -> Count;
count(_) -> absent.

flag(true) -> 1;
flag(false) -> 0;
flag(Flag) when Flag =:= 0; Flag =:= 1 -> Flag;
flag(_) -> absent.

run_queue(_Source) ->
    [erlang:statistics(total_run_queue_lengths_all)].

reductions(_Source) ->
    {Total, _SinceLastCall} = erlang:statistics(reductions),
    [Total].

population(_Source) ->
    [erlang:system_info(Count) || Count <- [process_count, port_count, ets_count, atom_count]].

mailbox(#{processes := Names}) ->
    Lengths = [Length || Name <- Names, Pid <- [whereis(Name)], is_pid(Pid),
                         {message_queue_len, Length} <- [process_info(Pid, message_queue_len)]],
    case Lengths of
        [] -> [absent];
        _ -> [lists:max(Lengths)]
    end.

garbage_collection(_Source) ->
    {Collections, Words, 0} = erlang:statistics(garbage_collection),
    [Collections, Words].

%% Normal schedulers have the first numbers, dirty ones those after.
schedulers(_Source) ->
    case erlang:statistics(scheduler_wall_time_all) of
        undefined ->
            [absent, absent, absent, absent];
        Times ->
            Last = erlang:system_info(schedulers),
            {Normal, Dirty} = lists:partition(fun({Id, _, _}) -> Id =< Last end, Times),
            [lists:sum([element(Place, Time) || Time <- Group])
             || Group <- [Normal, Dirty], Place <- [2, 3]]
    end.

rss(_Source) ->
    [router_bench_nif:resident_bytes()].
