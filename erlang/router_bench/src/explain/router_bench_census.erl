%% @doc What a VM has when everything is collected: memory by class, tables, and processes by what they run.
%% @private
-module(router_bench_census).

-export([take/3]).

%% Rows of each list, by most memory.
-define(ROWS_MAX, 500).
-define(SETTLE_READINGS, 15).
-define(SETTLE_MS, 20).
-define(CLASSES, [total, processes, system, atom, binary, code, ets]).
-define(NOTHING, #{count => 0, bytes => 0, binary_bytes => 0, reductions => 0, running_us => 0,
                   queue_max => 0}).

%% @doc Collects everything, and looks. What was seen of processes in the passes is added to what they are now.
-spec take(module(), router_bench_scope:scope(), [#{router_bench_scope:who() => map()}]) ->
          #{memory := map(), tables := [map()], processes := [map()]}.
take(Adapter, Scope, Seen) ->
    lists:foreach(fun erlang:garbage_collect/1, processes()),
    #{memory => memory(Scope), tables => tables(Adapter, Scope), processes => processes(Scope, Seen)}.

%% What was given back is freed by the scheduler that it came from, which takes its time: so of several readings
%% the least. What the emulator keeps for processes to come, and what the bench's own have, is not the router's.
memory(Scope) ->
    Readings = [begin timer:sleep(?SETTLE_MS), maps:from_list(erlang:memory()) end
                || _ <- lists:seq(1, ?SETTLE_READINGS)],
    {Used, #{processes := Processes, total := Total} = Memory} =
        lists:min([{Used, Memory} || #{processes_used := Used} = Memory <- Readings]),
    Bench = lists:sum([Bytes || Pid <- processes(), bench =:= router_bench_scope:who(Pid, Scope),
                                {memory, Bytes} <- [process_info(Pid, memory)]]),
    maps:with(?CLASSES, Memory#{processes := Used - Bench, total := Total - (Processes - Used) - Bench}).

%% Processes

processes(Scope, Seen) ->
    Alive = [{Who, #{count => 1, bytes => Bytes, binary_bytes => binary_bytes(Binaries)}}
             || Pid <- processes(), {_, _} = Who <- [router_bench_scope:who(Pid, Scope)],
                [{memory, Bytes}, {binary, Binaries}] <- [process_info(Pid, [memory, binary])]],
    Add = fun({Who, Found}, Sums) -> Sums#{Who => sum(Found, maps:get(Who, Sums, ?NOTHING))} end,
    Sums = lists:foldl(Add, #{}, Alive ++ lists:append([maps:to_list(Of) || Of <- Seen])),
    most([{Bytes, Of#{name => Name, is_own => IsOwn}}
          || {{Name, IsOwn}, #{bytes := Bytes} = Of} <- maps:to_list(Sums)]).

sum(Found, Sums) ->
    maps:fold(fun(queue_max, Length, So) -> maps:update_with(queue_max, fun(L) -> max(L, Length) end, So);
                 (Name, Value, So) -> maps:update_with(Name, fun(V) -> V + Value end, So)
              end, Sums, Found).

%% One that a process refers to several times is held once.
binary_bytes(Binaries) ->
    lists:sum([Bytes || {_Address, Bytes} <- lists:usort([{A, B} || {A, B, _} <- Binaries])]).

%% Tables

tables(Adapter, Scope) ->
    Found = [row(Table, Adapter, Scope) || Table <- ets:all()],
    Sums = lists:foldl(fun({Key, Row}, So) -> maps:update_with(Key, fun(R) -> both(Row, R) end, Row, So) end,
                       #{}, lists:append(Found)),
    most([{Bytes, Row#{name => Name, kind => Kind, owner => Owner}}
          || {{Name, Kind, Owner}, #{bytes := Bytes} = Row} <- maps:to_list(Sums)]).

%% None where it has gone meanwhile, or is the bench's own.
row(Table, Adapter, Scope) ->
    case ets:info(Table) of
        undefined ->
            [];
        Info ->
            [Name, Kind, Owner, Rows, Words, Readers, Writers] =
                [proplists:get_value(Key, Info) || Key <- [name, type, owner, size, memory, read_concurrency,
                                                           write_concurrency]],
            [{{router_bench_scope:name(Name), Kind, OwnerName},
              #{count => 1, rows => Rows, bytes => Words * erlang:system_info(wordsize),
                read_concurrency => Readers =/= false, write_concurrency => Writers =/= false}}
             || OwnerName <- owner(router_bench_scope:who(Owner, Scope), Name, Adapter, Scope)]
    end.

%% What the adapter makes in init/1 belongs to the process that has called it.
owner(bench, Name, Adapter, Scope) ->
    [router_bench_scope:call({Adapter, init, 1}) || not router_bench_scope:is_hidden(Name, Scope)];
owner(gone, _Name, _Adapter, _Scope) -> [];
owner({Name, _IsOwn}, _Table, _Adapter, _Scope) -> [Name].

both(#{count := C1, rows := R1, bytes := B1, read_concurrency := Read1, write_concurrency := Write1},
     #{count := C2, rows := R2, bytes := B2, read_concurrency := Read2, write_concurrency := Write2}) ->
    #{count => C1 + C2, rows => R1 + R2, bytes => B1 + B2, read_concurrency => Read1 andalso Read2,
      write_concurrency => Write1 andalso Write2}.

most(Rows) ->
    lists:sublist([Row || {_, Row} <- lists:reverse(lists:sort(Rows))], ?ROWS_MAX).
