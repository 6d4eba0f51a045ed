%% @doc Random calls of the native library, for as long as is asked: from many processes at once, which
%% are killed in the middle of them, with resources that they share, drop and find again, while the module
%% is deleted, purged and loaded anew. What the library may answer is a value or `badarg'; anything else
%% is a fault, and a crash is the end of the VM, so this runs in a VM of its own.
-module(router_bench_nif_fuzz).

-export([run/1]).
%% As an error handler.
-export([undefined_function/3, undefined_lambda/3]).

-type options() :: #{seed := integer(), duration_ms := pos_integer(), directory := binary()}.
-type outcome() :: #{executions := non_neg_integer(), faults := [term()],
                     atom() => non_neg_integer()}.

%% Processes that call, of which some are always dead.
-define(CALLERS, 8).
%% Resources that callers find in the table; one that is put over another drops it.
-define(SHARED, 64).
%% Until a kill, at most: calls take between 1 us and 0.1 s.
-define(KILL_AFTER_MAX_US, 4000).
%% Kills between two times at which the module is taken away.
-define(KILLS_TO_RELOAD, 50).
%% A thread of the library ends within its longest sleep, some 20 ms; a busy machine takes longer.
-define(THREADS_END_TRIES, 1000).
-define(THREADS_END_MS, 10).

-define(EXECUTIONS, 1).
-define(VALUES, 2).
-define(BADARG, 3).
-define(AWAY, 4).
-define(COLLECTIONS, 5).
-define(COUNTERS, 5).

-spec run(options()) -> outcome().
run(#{seed := Seed, duration_ms := DurationMs, directory := Directory}) ->
    _ = rand:seed(exsss, Seed),
    % What refuses to be loaded a second time says so, as it should.
    ok = logger:set_primary_config(level, critical),
    Counts = counters:new(?COUNTERS, []),
    Inside = atomics:new(?CALLERS, []),
    Shared = ets:new(shared, [public]),
    State = #{counts => Counts, inside => Inside, shared => Shared, directory => Directory,
              conductor => self()},
    ok = every_function_is_called(),
    EndMs = erlang:monotonic_time(millisecond) + DurationMs,
    Callers = maps:from_list([{Slot, start(Slot, State)} || Slot <- lists:seq(1, ?CALLERS)]),
    Told = disturb(Callers, EndMs, State, #{kills => 0, kills_inside => 0, reloads => 0, faults => []}),
    true = ets:delete(Shared),
    ok = no_thread_is_left(?THREADS_END_TRIES),
    Recorder = router_bench_nif:recorder_new(1),
    7 = router_bench_nif:record(Recorder, 7),
    #{count := 1} = router_bench_nif:recorder_snapshot(Recorder),
    Told#{executions => counters:get(Counts, ?EXECUTIONS), values => counters:get(Counts, ?VALUES),
          badarg => counters:get(Counts, ?BADARG), while_away => counters:get(Counts, ?AWAY),
          collections => counters:get(Counts, ?COLLECTIONS)}.

%% Function, what its arguments are, and how often it is called beside others: one that takes 0.1 s seldom.
functions() ->
    [{library, [], 1}, {empty, [], 1}, {now, [], 2}, {start, [], 2}, {stop, [recorder, ns], 20},
     {record, [recorder, ns], 20}, {poll, [dispatch], 40}, {ready, [dispatch, worker], 20},
     {answered, [dispatch, worker, ns, outcome], 40}, {recorder_new, [threads], 10},
     {recorder_snapshot, [recorder], 5}, {recorder_slice, [recorder], 10},
     {recorder_window, [recorder], 5}, {recorder_take, [recorder], 5},
     {recorder_add, [recorder, taken], 5},
     {dispatch_new, [workers, recorder, recorder, recorder], 10},
     {dispatch_in_windows, [workers, recorder, recorder, recorder, windows], 5},
     {dispatch_windows, [dispatch], 5},
     {dispatch_begin, [dispatch, schedule, arrivals], 10}, {dispatch_end, [waker], 5},
     {dispatch_counts, [dispatch], 10}, {hiccup_start, [recorder], 4}, {hiccup_stop, [hiccup], 4},
     {kernels, [], 0.01}, {machine, [], 0.5}, {resident_bytes, [], 1}, {counters_new, [], 3},
     {counters_resume, [counters], 2}, {counters_pause, [counters], 2},
     {counters_figures, [counters], 4}, {report_summary, [blocks], 5}, {report_encode, [report], 5},
     {report_write, [path, report], 2}, {request_decode, [json], 5}, {event_encode, [event], 5},
     {os_now, [], 2}, {info, [], 0.1}].

every_function_is_called() ->
    Known = lists:sort([{Name, length(Kinds)} || {Name, Kinds, _} <- functions()]),
    Known = lists:sort(router_bench_nif:module_info(exports) -- [{module_info, 0}, {module_info, 1}]),
    ok.

%% The conductor: kills a caller at some moment, starts another, and now and then takes the module away.
disturb(Callers, EndMs, #{inside := Inside} = State, Told) ->
    AfterUs = rand:uniform(?KILL_AFTER_MAX_US),
    receive
        {fault, Fault} ->
            stop(Callers),
            Told#{faults := [Fault]}
    after AfterUs div 1000 ->
        ok = wait_us(AfterUs rem 1000),
        case erlang:monotonic_time(millisecond) < EndMs of
            true ->
                Slot = rand:uniform(?CALLERS),
                Monitor = monitor(process, maps:get(Slot, Callers)),
                true = exit(maps:get(Slot, Callers), kill),
                IsInside = atomics:get(Inside, Slot),
                receive {'DOWN', Monitor, process, _, _} -> ok end,
                #{kills := Kills, kills_inside := KillsInside} = Told,
                Killed = Told#{kills := Kills + 1, kills_inside := KillsInside + IsInside},
                disturb(Callers#{Slot := start(Slot, State)}, EndMs, State, reloaded(Killed, State));
            false ->
                stop(Callers),
                receive {fault, Fault} -> Told#{faults := [Fault]} after 0 -> Told end
        end
    end.

stop(Callers) ->
    [begin
         Monitor = monitor(process, Caller),
         true = exit(Caller, kill),
         receive {'DOWN', Monitor, process, Caller, _} -> ok end
     end || Caller <- maps:values(Callers)],
    ok.

wait_us(Us) ->
    Until = erlang:monotonic_time(microsecond) + Us,
    wait_until(Until).

wait_until(UntilUs) ->
    case erlang:monotonic_time(microsecond) < UntilUs of
        true -> erlang:yield(), wait_until(UntilUs);
        false -> ok
    end.

%% What was made before is of no use after, and must be refused: half of the times all of it goes.
reloaded(#{kills := Kills, reloads := Reloads} = Told, #{shared := Shared})
  when Kills rem ?KILLS_TO_RELOAD =:= 0 ->
    case rand:uniform(3) of
        1 ->
            % Beside one that is in use there can be no second: it stays, and answers.
            {Module, Binary, File} = code:get_object_code(router_bench_nif),
            _ = code:load_binary(Module, File, Binary);
        2 ->
            _ = code:delete(router_bench_nif),
            _ = code:purge(router_bench_nif);
        3 ->
            _ = code:soft_purge(router_bench_nif),
            _ = code:delete(router_bench_nif),
            _ = code:soft_purge(router_bench_nif)
    end,
    _ = code:purge(router_bench_nif),
    {module, router_bench_nif} = code:ensure_loaded(router_bench_nif),
    true = rand:uniform(2) =:= 1 orelse ets:delete_all_objects(Shared),
    Told#{reloads := Reloads + 1};
reloaded(Told, _) ->
    Told.

%% Callers of a module that is away do not load it: an emulator of OTP 25 whose module is loaded by several at
%% once, while it is purged, may keep the types of one that it has dropped, and refuses all that come after.
undefined_function(router_bench_nif, Name, Arguments) ->
    erlang:raise(error, undef, [{router_bench_nif, Name, Arguments, []}]);
undefined_function(Module, Name, Arguments) ->
    error_handler:undefined_function(Module, Name, Arguments).

undefined_lambda(Module, Fun, Arguments) ->
    error_handler:undefined_lambda(Module, Fun, Arguments).

start(Slot, #{inside := Inside} = State) ->
    ok = atomics:put(Inside, Slot, 0),
    Seed = rand:uniform(1 bsl 50),
    spawn(fun() ->
                  _ = process_flag(error_handler, ?MODULE),
                  _ = rand:seed(exsss, Seed),
                  call(State#{slot => Slot, functions => weighted(functions(), 0)})
          end).

%% With the sum of the weights up to each.
weighted([], _) -> [];
weighted([{Name, Kinds, Weight} | Rest], Sum) ->
    [{Sum + Weight, Name, Kinds} | weighted(Rest, Sum + Weight)].

call(#{functions := Functions, counts := Counts, inside := Inside, slot := Slot} = State) ->
    {Sum, _, _} = lists:last(Functions),
    Drawn = rand:uniform() * Sum,
    {_, Name, Kinds} = hd(lists:dropwhile(fun({UpTo, _, _}) -> UpTo < Drawn end, Functions)),
    Arguments = [argument(Kind, State) || Kind <- Kinds],
    ok = atomics:put(Inside, Slot, 1),
    Answer = try {value, apply(router_bench_nif, Name, Arguments)}
             catch Class:Reason -> {Class, Reason}
             end,
    ok = atomics:put(Inside, Slot, 0),
    ok = counters:add(Counts, ?EXECUTIONS, 1),
    case Answer of
        {value, Value} ->
            ok = counters:add(Counts, ?VALUES, 1),
            keep(Name, Value, State);
        {error, badarg} -> counters:add(Counts, ?BADARG, 1);
        {error, undef} -> counters:add(Counts, ?AWAY, 1);
        {_, _} -> maps:get(conductor, State) ! {fault, {Name, Arguments, Answer}}
    end,
    ok = forget(Counts),
    call(State).

%% A resource is there for all, over one that was there before.
keep(Name, Value, #{shared := Shared}) ->
    case made(Name) of
        none -> ok;
        Kind -> true = ets:insert(Shared, {{Kind, rand:uniform(?SHARED)}, Value}), ok
    end.

made(recorder_new) -> recorder;
made(dispatch_new) -> dispatch;
made(dispatch_in_windows) -> dispatch;
made(dispatch_begin) -> waker;
made(hiccup_start) -> hiccup;
made(counters_new) -> counters;
made(_) -> none.

%% Messages, among them `wake', and what the heap holds of resources that nobody else does any more.
forget(Counts) ->
    case rand:uniform(20) of
        1 ->
            ok = flush(),
            true = erlang:garbage_collect(),
            counters:add(Counts, ?COLLECTIONS, 1);
        _ -> ok
    end.

flush() ->
    receive _ -> flush() after 0 -> ok end.

%% Of five arguments one is anything at all; a path is always one that may be written to.
argument(path, State) ->
    case rand:uniform(5) of
        1 -> term(3, State);
        _ -> right(path, State)
    end;
argument(Kind, State) ->
    case rand:uniform(5) of
        1 when Kind =/= report -> term(3, State);
        _ -> right(Kind, State)
    end.

right(ns, _) -> pick([rand:uniform(1000000000), number()]);
right(worker, _) -> rand:uniform(8) - 1;
right(outcome, _) -> rand:uniform(5) - 1;
right(threads, _) -> pick([0, 0, 1, 2, 4, 16, 1025, 65536]);
right(workers, _) -> pick([0, 1, 2, 8, 1024, 100000, 100001]);
right(arrivals, _) -> pick([0, 1, 1000, 16#FFFFFFFF, 16#100000000]);
right(windows, _) -> {pick([0, 1, 1000000, number()]), pick([0, 1, 4, 1001])};
right(schedule, _) ->
    {pick([constant, poisson, other]), number(),
     pick([0, router_bench_nif_now(), number()]), pick([0, 1, 1000, 1000000, 1000001, number()]),
     pick([{0, 1}, {pick([0, 1, 9999, number()]), pick([1, 2, 10000, number()])}])};
right(taken, _) ->
    % A version, the head, and counters: what there is of them at random.
    [pick([<<>>, <<1>>, <<1, (rand:bytes(rand:uniform(40)))/binary>>, rand:bytes(8)])
     || _ <- lists:seq(1, rand:uniform(4) - 1)] ++ pick([[], [], [], tail]);
right(path, #{directory := Directory}) ->
    pick([filename:join(Directory, integer_to_binary(rand:uniform(4))), <<"/proc/none/report">>]);
right(json, _) -> pick([<<"\"go_on\"">>, <<"{\"measure\": {}}">>, rand:bytes(rand:uniform(40))]);
right(event, State) -> pick([ended, #{block => 3}, #{failed => <<"why">>}, term(3, State)]);
right(blocks, State) -> pick([[], [#{}], [term(3, State)], improper(State)]);
right(report, State) ->
    Sound = #{timestamp => <<"2026-01-31T12:00:00Z">>, git => #{}, env => #{otp_release => <<"25">>},
              metrics => #{rps => 51200.5, errors_total => 0}, run => #{status => complete}},
    pick([Sound, Sound#{pick(maps:keys(Sound)) := term(3, State)}, #{a => improper(State)},
          #{a => deep(rand:uniform(20000))}]);
right(Kind, #{shared := Shared}) ->
    case ets:lookup(Shared, {Kind, rand:uniform(?SHARED)}) of
        [{_, Resource}] ->
            Resource;
        [] ->
            Made = fresh(Kind),
            true = Made =:= none orelse ets:insert(Shared, {{Kind, rand:uniform(?SHARED)}, Made}),
            Made
    end.

%% Not by the module that may be away at this moment.
router_bench_nif_now() ->
    erlang:monotonic_time(nanosecond).

fresh(recorder) -> quietly(recorder_new, [1]);
fresh(dispatch) -> quietly(dispatch_new, [8 | [fresh(recorder) || _ <- [1, 2, 3]]]);
fresh(counters) -> quietly(counters_new, []);
fresh(_) -> none.

quietly(Name, Arguments) ->
    try apply(router_bench_nif, Name, Arguments)
    catch error:Reason when Reason =:= undef; Reason =:= badarg -> none
    end.

number() ->
    Edge = 1 bsl (rand:uniform(70) - 1),
    pick([0, 1, -1, Edge, Edge - 1, Edge + 1, -Edge, rand:uniform(Edge)]).

improper(State) ->
    [term(1, State), term(1, State) | pick([tail, 1, #{}, <<"tail">>])].

deep(0) -> [];
deep(Depth) -> [deep(Depth - 1)].

%% Any term, resources of every kind among them.
term(0, _) -> pick([[], none, 0]);
term(Depth, #{shared := Shared} = State) ->
    Inner = fun() -> term(Depth - 1, State) end,
    case rand:uniform(14) of
        1 -> number();
        2 -> pick([ok, true, false, '', badarg, wake]);
        3 -> pick([0.0, -0.0, 1.5, 1.0e308, -1.0e-308]);
        4 -> rand:bytes(rand:uniform(30) - 1);
        5 -> <<(rand:uniform(256)):(rand:uniform(15))>>;
        6 -> [Inner() || _ <- lists:seq(1, rand:uniform(4))];
        7 -> [Inner() | Inner()];
        8 -> list_to_tuple([Inner() || _ <- lists:seq(1, rand:uniform(5) - 1)]);
        9 -> maps:from_list([{Inner(), Inner()} || _ <- lists:seq(1, rand:uniform(4))]);
        10 -> pick([self(), make_ref(), hd(erlang:ports())]);
        11 -> fun() -> Depth end;
        12 -> binary:copy(<<"x">>, 100000);
        13 -> lists:duplicate(1000, Depth);
        14 ->
            Kind = pick([recorder, dispatch, waker, hiccup, counters]),
            case ets:lookup(Shared, {Kind, rand:uniform(?SHARED)}) of
                [{_, Resource}] -> Resource;
                [] -> none
            end
    end.

pick(Choices) ->
    lists:nth(rand:uniform(length(Choices)), Choices).

%% Wakers and meters end with their owners and their last references. A name is cut after 15 characters.
no_thread_is_left(Tries) ->
    true = erlang:garbage_collect(),
    Names = [Name || File <- filelib:wildcard("/proc/self/task/*/comm"),
                     {ok, <<"router_", _/binary>> = Name} <- [file:read_file(File)]],
    case Names of
        [] -> ok;
        _ when Tries > 0 ->
            timer:sleep(?THREADS_END_MS),
            no_thread_is_left(Tries - 1);
        _ -> {threads, length(Names)}
    end.
