%% @doc What a run does, validated once. Everything after this trusts it.
-module(router_bench_plan).

-export([defaults/0, new/1, sent/1, adapter_options/1, repository/1, message/1]).

-export_type([plan/0, options/0, reason/0, replay/0, commit_build/0, variants/0, value/0, driver/0]).

%% Alive at once: each is a BEAM with its router.
-define(VARIANTS_MAX, 8).

%% One conductor holds many more; a run on one machine does not.
-define(DRIVERS_MAX, 64).
-define(ROUTERS_MAX, 16).

-define(ALLOWED, [control, fault, terminate]).

-type plan() ::
    #{adapter := module(),
      adapter_options := map(),          % handed to the adapter's init/1
      erl_args := [string()],            % flags of the measured BEAMs, those of production
      node := [node()],                  % to measure in, which run already, a router in each; one may be named
                                         % alone; router_bench:attach/1
      cookie_file := none | file:filename_all(), % of these nodes
      attach_allow := [control | fault | terminate], % what may be done to their routers beside the load
      nodes := [driver()],               % who drives the load; none: the router's own BEAM
      routers := pos_integer(),          % BEAMs with a router each that the drivers reach
      distribution := by_place | tcp | tls, % how drivers reach routers; `by_place': encrypted where one is not
                                         % on this machine
      listen := loopback | inet:ip4_address(), % where routers listen, and drivers reach them
      instance := pos_integer(),         % of those alive at once, which one; the run sets it
      share := router_bench_share:share(), % of the load; no option
      reached := here | {here, [node(), ...]} | [node(), ...], % where the router is, in the end with all nodes
                                         % that have one; no option
      cluster := none | {running, node()} | router_bench_cluster:cluster(), % what drivers and routers have in common; no option
      blocks := pos_integer(),           % each with a fresh BEAM of each side
      warmup_ms := pos_integer(),        % least closed-loop load before the measured phases; five
                                         % times that at most, until throughput is steady
      throughput_ms := pos_integer(),    % length of the closed loop, all slices of a block
      latency_ms := pos_integer() | calibrate, % the same of the open loop; `calibrate': as long as
                                         % the samples of a p99 take
      slice_ms := pos_integer(),         % length of a slice; of the open loop, longer where a
                                         % thousand arrivals take longer
      rate_per_second := pos_integer() | calibrate, % arrivals of the open loop; `calibrate':
                                         % router_bench_calibration chooses
      arrivals := constant | poisson,    % evenly spaced, or independent of each other
      concurrency := pos_integer() | calibrate, % workers of the closed loop; `calibrate': as many as
                                         % it takes
      max_in_flight := pos_integer(),    % open-loop requests, each with a worker of its own; arrivals
                                         % beyond are skipped
      callback_timeout_ms := pos_integer(), % for each of init/1, connect/2, transport/1, counters/1,
                                         % control/2, outage/1, terminate/1, disconnect/1
      drain_timeout_ms := pos_integer(), % patience for requests at the end of a phase
      sample_interval_ms := pos_integer(),
      timeout_ms := pos_integer(),       % for the whole run
      seed := non_neg_integer(),         % of arrivals, keys, and who comes first in a replay
      keys := router_bench_keys:distribution(),
      key_count := pos_integer(),        % keys that requests are drawn from
      control := boolean(),              % provoke an error and an activation first
      p99_limit_us := pos_integer(),     % what find_rate/1 keeps under
      fault := none | router_bench_fault:fault(), % in a replay only in the candidate
      outage_ms := none | pos_integer(), % for how long the router is gone after the open loop
      outage_tolerance_pct := number(),  % by how much the p95 may be above that before, once it is back
      candidate := work_tree | commit_build(),
      replay := none | replay(),
      variants := none | variants(),     % measured in turn, in place of one candidate
      after_block := none | after_block(), % asked after each block but the last
      project_dir := none | file:filename_all(), % in the repository of the router; none: where the
                                         % adapter is
      progress := none | fun((router_bench_progress:event()) -> term()), % told what the run does and finds,
                                         % in place of the console
      report_file := none | file:filename_all(), % kept up to date while the run goes on
      quiet := boolean()}.               % no progress and no table on the console
%% Where a driver is: in a BEAM of its own on this machine, where a module ({@link router_bench_far}) or ssh
%% starts one, or in a node that runs already, as the router's does.
-type driver() :: local | {ssh | module(), Argument :: binary()} | node().
%% Given the number of blocks that are measured and in the report file: whether there are more.
-type after_block() :: fun((pos_integer()) -> go_on | stop).
%% A frozen build to measure in turn with the candidate, and where its own report goes. `build' is
%% there once it is validated, and is no option.
-type replay() :: #{lib_dir := file:filename_all(), report_file := file:filename_all(),
                    commit := binary(), tree => binary(), build => router_bench_frozen:build()}.
%% An option of the adapter, and the values under which the router is measured, each with its own report.
-type variants() :: #{option := binary(),
                      values := [#{value := value(), report_file := none | file:filename_all()}, ...]}.
-type value() :: boolean() | integer() | binary().
%% The build of a commit to measure instead of what this VM has.
-type commit_build() :: #{lib_dir := file:filename_all(), commit := binary(),
                          build => router_bench_frozen:build()}.
%% A plan with anything but `adapter' left out. `fault' may also be text, such as `"delay_us=200"'.
-type options() :: #{adapter := module(), atom() => term()}.
-type reason() :: {unknown_option, term()}
                | {missing_option, atom()}
                | {bad_option, atom(), term(), Expected :: string()}
                | {adapter, module(), Problem :: string()}.

%% @doc The values of a full run; `adapter' has none.
-spec defaults() -> #{atom() => term()}.
defaults() ->
    #{adapter_options => #{},
      erl_args => [],
      node => [],
      cookie_file => none,
      attach_allow => [],
      blocks => 10,
      warmup_ms => 1000,
      throughput_ms => 1000,
      latency_ms => calibrate,
      slice_ms => 60,
      nodes => [],
      routers => 1,
      distribution => by_place,
      listen => loopback,
      instance => 1,
      rate_per_second => calibrate,
      arrivals => constant,
      concurrency => calibrate,
      max_in_flight => 1024,
      callback_timeout_ms => 30000,
      drain_timeout_ms => 5000,
      sample_interval_ms => 50,
      timeout_ms => 900000,
      seed => 1,
      keys => uniform,
      key_count => 10000,
      control => true,
      p99_limit_us => 1000,
      fault => none,
      outage_ms => none,
      outage_tolerance_pct => 15,
      candidate => work_tree,
      replay => none,
      variants => none,
      after_block => none,
      project_dir => none,
      progress => none,
      report_file => none,
      quiet => false}.

%% @doc Makes a plan of options.
-spec new(options()) -> {ok, plan()} | {error, reason()}.
new(Options) ->
    Known = [adapter | maps:keys(defaults())],
    case {maps:keys(Options) -- Known, Options} of
        {[Unknown | _], _} ->
            {error, {unknown_option, Unknown}};
        {[], #{adapter := _}} ->
            Plan = maps:merge(defaults(), Options),
            check(lists:sort(Known), Plan#{share => router_bench_share:whole(), reached => here, cluster => none});
        {[], #{}} ->
            {error, {missing_option, adapter}}
    end.

check([], Plan) ->
    case check_adapter(Plan) of
        {ok, _} ->
            case check_node(Plan) of
                {ok, Checked} -> check_drivers(Checked);
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} -> {error, Reason}
    end;
check([Key | Rest], Plan) ->
    #{Key := Value} = Plan,
    case checked(Key, Value) of
        {ok, Checked} -> check(Rest, Plan#{Key := Checked});
        {error, Expected} -> {error, {bad_option, Key, Value, Expected}}
    end.

checked(Key, calibrate)
  when Key =:= rate_per_second; Key =:= concurrency; Key =:= latency_ms ->
    {ok, calibrate};
checked(outage_ms, none) ->
    {ok, none};
checked(Key, Value) ->
    case {domain(Key), Value} of
        {{Min, Max}, _} when is_integer(Min), is_integer(Value), Value >= Min, Value =< Max -> {ok, Value};
        {{Min, Max}, _} when is_integer(Min) ->
            {error, lists:flatten(io_lib:format("a whole number from ~b to ~b", [Min, Max]))};
        {percent, _} when is_number(Value), Value >= 0, Value =< 1000000 -> {ok, Value};
        {percent, _} -> {error, "a number of percent from 0 to 1000000"};
        {module, _} when is_atom(Value), Value =/= undefined -> {ok, Value};
        {module, _} -> {error, "a module name"};
        {{one_of, Values}, _} ->
            case lists:member(Value, Values) of
                true -> {ok, Value};
                false -> {error, lists:flatten(io_lib:format("one of ~0p", [Values]))}
            end;
        {keys, uniform} -> {ok, uniform};
        {keys, {zipf, S}} when is_number(S), S > 0, S =< 10 -> {ok, {zipf, S}};
        {keys, _} -> {error, "uniform or {zipf, Exponent} with an exponent above 0 and up to 10"};
        {flags, _} -> checked_flags(Value);
        {node, none} -> {ok, []};
        {node, _} when is_atom(Value) -> checked(Key, [Value]);
        {node, _} ->
            case is_list(Value) andalso length(Value) =< ?ROUTERS_MAX andalso lists:all(fun is_node/1, Value)
                andalso lists:usort(Value) =:= lists:sort(Value) of
                true -> {ok, Value};
                false -> {error, lists:flatten(io_lib:format("none, a node's name, as node/0 gives it, or a list of up "
                                                             "to ~b, each once", [?ROUTERS_MAX]))}
            end;
        {allowed, _} ->
            case is_list(Value) andalso Value -- ?ALLOWED of
                [] -> {ok, Value};
                _ -> {error, "a list of control, fault and terminate, or of some of these"}
            end;
        {drivers, _} ->
            Places = is_list(Value) andalso length(Value) =< ?DRIVERS_MAX
                andalso [Place || Of <- Value, {ok, Place} <- [driver(Of)]],
            case Places of
                [_ | _] when length(Places) =:= length(Value) -> {ok, Places};
                [] when Value =:= [] -> {ok, []};
                _ -> {error, lists:flatten(io_lib:format("a list of up to ~b drivers, each local, {ssh, Destination}, "
                                                  "{Module, Argument} with a module that exports start/1, or a "
                                                  "node's name", [?DRIVERS_MAX]))}
            end;
        {distribution, <<"tcp">>} -> {ok, tcp};
        {distribution, <<"tls">>} -> {ok, tls};
        {distribution, _} when Value =:= by_place; Value =:= tcp; Value =:= tls -> {ok, Value};
        {distribution, _} -> {error, "by_place, tcp or tls"};
        {address, loopback} -> {ok, loopback};
        {address, _} -> checked_address(Value);
        {map, _} when is_map(Value) -> {ok, Value};
        {map, _} -> {error, "a map"};
        {boolean, _} when is_boolean(Value) -> {ok, Value};
        {boolean, _} -> {error, "true or false"};
        {file, none} -> {ok, none};
        {file, _} when is_binary(Value); is_list(Value) -> {ok, Value};
        {file, _} -> {error, "none or a file name"};
        {candidate, work_tree} -> {ok, work_tree};
        {candidate, _} -> checked_build(Value, [lib_dir, commit]);
        {replay, none} -> {ok, none};
        {replay, _} -> checked_build(Value, [lib_dir, report_file, commit]);
        {variants, none} -> {ok, none};
        {variants, _} -> checked_variants(Value);
        {function, none} -> {ok, none};
        {function, _} when is_function(Value, 1) -> {ok, Value};
        {function, _} -> {error, "none or a function of one argument"};
        {fault, none} -> {ok, none};
        {fault, {_, _}} -> checked_fault(router_bench_fault:text(Value));
        {fault, _} when is_binary(Value); is_list(Value) -> checked_fault(Value);
        {fault, _} -> checked_fault(<<>>)
    end.

%% Also as a file or a flag has it.
driver(local) -> {ok, local};
driver(<<"local">>) -> {ok, local};
driver({Module, Argument}) when is_atom(Module), is_list(Argument) -> driver({Module, list_to_binary(Argument)});
driver({ssh, Destination}) when is_binary(Destination), Destination =/= <<>> -> {ok, {ssh, Destination}};
driver({Module, Argument}) when is_atom(Module), is_binary(Argument) ->
    case code:ensure_loaded(Module) of
        {module, Module} ->
            case erlang:function_exported(Module, start, 1) of
                true -> {ok, {Module, Argument}};
                false -> error
            end;
        {error, _} ->
            error
    end;
driver(Text) when is_binary(Text) ->
    % Of a file or a flag the format has made sure that this can be a module's name.
    case binary:split(Text, <<":">>) of
        [Module, Argument] -> driver({binary_to_atom(Module), Argument});
        [Node] -> driver(binary_to_atom(Node))
    end;
driver(Node) when is_atom(Node) ->
    case is_node(Node) of
        true -> {ok, Node};
        false -> error
    end;
driver(_) -> error.

checked_address(Value) ->
    Parsed = case Value of
                 {_, _, _, _} -> inet:parse_ipv4strict_address(lists:flatten(io_lib:format("~w.~w.~w.~w",
                                                                                           tuple_to_list(Value))));
                 _ when is_binary(Value) -> inet:parse_ipv4strict_address(binary_to_list(Value));
                 _ -> {error, einval}
             end,
    {ok, Interfaces} = inet:getifaddrs(),
    case Parsed of
        {ok, Address} ->
            case [Own || {_, Options} <- Interfaces, {addr, Own} <- Options, Own =:= Address] of
                [] when element(1, Address) =/= 127 -> {error, "loopback, or an IPv4 address that this machine has"};
                _ -> {ok, Address}
            end;
        {error, _} ->
            {error, "loopback, or an IPv4 address of this machine, such as 192.0.2.1"}
    end.

checked_flags(Flags) ->
    case is_list(Flags) andalso lists:all(fun io_lib:char_list/1, Flags) of
        false ->
            {error, "a list of words, such as [\"+S\", \"4\"]"};
        true ->
            router_bench_flags:expand(Flags)
    end.

is_node(Node) ->
    is_atom(Node) andalso
        case string:split(atom_to_list(Node), "@") of
            [[_ | _], [_ | _]] -> true;
            _ -> false
        end.

checked_fault(Text) ->
    case router_bench_fault:parse(Text) of
        {ok, Fault} -> {ok, Fault};
        {error, Message} -> {error, binary_to_list(Message)}
    end.

%% Of a replay `tree' besides, if it is known.
checked_build(Build, Required) when is_map(Build) ->
    IsName = fun(Name) -> is_binary(Name) orelse is_list(Name) end,
    IsHash = fun(Hash) ->
                     is_binary(Hash) andalso
                         re:run(Hash, "\\A[0-9a-f]{40}\\z", [{capture, none}]) =:= match
             end,
    Files = maps:values(maps:with([lib_dir, report_file], Build)),
    Hashes = maps:values(maps:with([commit, tree], Build)),
    case {Required -- maps:keys(Build), maps:keys(Build) -- [tree | Required],
          lists:all(IsName, Files), lists:all(IsHash, Hashes)} of
        {[], [], true, true} -> {ok, Build};
        {[Missing | _], _, _, _} -> {error, lists:flatten(io_lib:format("a map with ~s", [Missing]))};
        {_, [Unknown | _], _, _} -> {error, lists:flatten(io_lib:format("no key ~0p", [Unknown]))};
        {_, _, false, _} -> {error, "file names as lib_dir and report_file"};
        {_, _, _, false} -> {error, "40 lower-case hexadecimal digits as commit and tree"}
    end;
checked_build(_, Required) ->
    {error, lists:flatten(io_lib:format("a map of ~p", [Required]))}.

checked_variants(#{option := Option, values := [_, _ | _] = Sides} = Variants)
  when is_binary(Option), Option =/= <<>>, map_size(Variants) =:= 2, length(Sides) =< ?VARIANTS_MAX ->
    IsValue = fun(Value) -> is_boolean(Value) orelse is_integer(Value) orelse is_binary(Value) end,
    Values = [Value || #{value := Value, report_file := _} <- Sides, IsValue(Value)],
    Files = [File || #{report_file := File} <- Sides, File =/= none],
    case {length(Values) =:= length(Sides), lists:usort(Values), lists:usort(Files)} of
        {true, Distinct, Apart} when length(Distinct) =:= length(Sides), length(Apart) =:= length(Files) ->
            {ok, Variants};
        _ ->
            {error, "values that differ, each with a report_file of its own"}
    end;
checked_variants(_) ->
    {error, lists:flatten(io_lib:format("none, or an option of the adapter with 2 to ~b values",
                                        [?VARIANTS_MAX]))}.

check_candidate(work_tree, Plan) ->
    check_replay(maps:get(replay, Plan), Plan);
check_candidate(#{lib_dir := LibDir} = Candidate, #{adapter := Adapter} = Plan) ->
    case router_bench_frozen:load(LibDir, Adapter) of
        {ok, Build} ->
            check_replay(maps:get(replay, Plan), Plan#{candidate := Candidate#{build => Build}});
        {error, Message} ->
            {error, {bad_option, candidate, Candidate, "the build of a commit: " ++ Message}}
    end.

check_drivers(#{nodes := [], routers := 1} = Plan) ->
    check_candidate(maps:get(candidate, Plan), Plan);
check_drivers(#{nodes := [], node := [_, _ | _]}) ->
    {error, {bad_option, nodes, [], "drivers (--nodes): routers in several nodes are reached by drivers"}};
check_drivers(#{nodes := [], routers := Routers}) ->
    {error, {bad_option, routers, Routers, "1, or nodes that drive them"}};
check_drivers(#{outage_ms := OutageMs}) when OutageMs =/= none ->
    {error, {bad_option, outage_ms, OutageMs, "none: an outage is seen by the load of the router's own BEAM"}};
check_drivers(#{adapter := Adapter, nodes := Nodes, concurrency := Workers, max_in_flight := InFlight} = Plan) ->
    Each = lists:flatten(io_lib:format("at least ~b, one for each driver", [length(Nodes)])),
    Least = [{Key, Value} || {Key, Value} <- [{concurrency, Workers}, {max_in_flight, InFlight}],
                             is_integer(Value), Value < length(Nodes)],
    case {erlang:function_exported(Adapter, connect, 2), Least} of
        {false, _} ->
            {error, {adapter, Adapter, "does not export connect/2, by which a driver reaches its router"}};
        {true, [{Key, Value} | _]} -> {error, {bad_option, Key, Value, Each}};
        {true, []} -> alike(Plan)
    end.

%% A router that runs already is reached by the distribution of its cluster, a fresh one by that of the run.
alike(#{node := Routers, nodes := Nodes} = Plan) ->
    Running = [Place || Place <- Nodes, is_running(Place)],
    Elsewhere = [Place || Place <- Nodes, Place =/= local, not is_running(Place)],
    case {Routers, Running, Elsewhere} of
        {[], [], _} ->
            reachable(Plan);
        {[], _, _} ->
            {error, {bad_option, nodes, Nodes, "local, ssh or a module: a fresh router is in no cluster that "
                                               "runs already; name its node to measure one that is"}};
        {_, _, [_ | _]} ->
            {error, {bad_option, nodes, Nodes, "local, or names of nodes of the router's cluster"}};
        {_, _, []} ->
            case {Running -- Routers, lists:usort(Running)} of
                {Running, Each} when length(Each) =:= length(Running) -> running(Plan);
                {Running, _} -> {error, {bad_option, nodes, Nodes, "names of nodes, each once"}};
                _ -> {error, {bad_option, nodes, Nodes, "nodes other than the router's own"}}
            end
    end.

is_running(Place) -> is_atom(Place) andalso Place =/= local.

%% This VM talks as the cluster does, or it is not let in.
running(#{distribution := Distribution, candidate := Candidate, node := [Router | _]} = Plan) ->
    Own = case init:get_argument(proto_dist) of
              {ok, [["inet" ++ Family | _] | _]} when Family =:= "_tls"; Family =:= "6_tls" -> tls;
              _ -> tcp
          end,
    case Distribution of
        _ when Distribution =:= by_place; Distribution =:= Own ->
            check_candidate(Candidate, Plan#{distribution := Own, cluster := {running, Router}});
        _ ->
            {error, {bad_option, distribution, Distribution,
                     lists:flatten(io_lib:format("~s, which is how this VM reaches the cluster", [Own]))}}
    end.

%% Whoever is elsewhere has to be told where to go.
reachable(#{nodes := Nodes, listen := Listen, candidate := Candidate} = Plan) ->
    case [Place || Listen =:= loopback, Place <- Nodes, Place =/= local] of
        [] ->
            Settled = distributed(Plan),
            check_candidate(Candidate, Settled#{cluster := router_bench_cluster:new(Settled)});
        [Place | _] ->
            Expected = ["the address of this machine at which ", router_bench_drivers:text(Place), " reaches it"],
            {error, {bad_option, listen, Listen, unicode:characters_to_list(Expected)}}
    end.

distributed(#{nodes := Nodes, distribution := Distribution, listen := Listen} = Plan) ->
    Plan#{distribution := case Distribution of
                              by_place ->
                                  case lists:all(fun(Place) -> Place =:= local end, Nodes) of
                                      true -> tcp;
                                      false -> tls
                                  end;
                              _ -> Distribution
                          end,
          listen := case Listen of
                        loopback -> {127, 0, 0, 1};
                        _ -> Listen
                    end}.

%% What a node that others use is spared, unless it is asked for.
check_node(#{node := []} = Plan) ->
    {ok, Plan};
check_node(#{attach_allow := Allowed, control := Control} = Plan) ->
    Load = "a number: in a node that runs already no load is looked for, which would saturate it",
    case Plan of
        #{rate_per_second := calibrate} ->
            {error, {bad_option, rate_per_second, calibrate, Load}};
        #{concurrency := calibrate} ->
            {error, {bad_option, concurrency, calibrate, Load}};
        #{replay := Replay} when Replay =/= none ->
            {error, {bad_option, replay, Replay, "none: a node that runs already has one build"}};
        #{variants := Variants} when Variants =/= none ->
            {error, {bad_option, variants, Variants, "none: a node that runs already has one router"}};
        #{candidate := Candidate} when Candidate =/= work_tree ->
            {error, {bad_option, candidate, Candidate, "work_tree: the node runs what it runs"}};
        #{outage_ms := Outage} when Outage =/= none ->
            {error, {bad_option, outage_ms, Outage, "none: others use this router"}};
        #{routers := Routers} when Routers =/= 1 ->
            {error, {bad_option, routers, Routers, "left out: each node that is named has one"}};
        #{fault := Fault} when Fault =/= none ->
            case lists:member(fault, Allowed) of
                true -> {ok, with_control(Control, Allowed, Plan)};
                false -> {error, {bad_option, fault, router_bench_fault:text(Fault),
                                  "none, or attach_allow with fault: others use this router"}}
            end;
        #{} ->
            {ok, with_control(Control, Allowed, Plan)}
    end.

with_control(Control, Allowed, #{node := Nodes} = Plan) ->
    Plan#{control := Control andalso lists:member(control, Allowed), routers := length(Nodes)}.

check_replay(none, Plan) ->
    {ok, Plan};
check_replay(_Replay, #{variants := #{} = Variants}) ->
    {error, {bad_option, variants, Variants, "no replay besides"}};
check_replay(#{report_file := File} = Replay, #{report_file := File}) ->
    {error, {bad_option, replay, Replay, "a report_file other than the candidate's"}};
check_replay(#{lib_dir := LibDir} = Replay, #{adapter := Adapter} = Plan) ->
    case router_bench_frozen:load(LibDir, Adapter) of
        {ok, Build} -> {ok, Plan#{replay := Replay#{build => Build}}};
        {error, Message} -> {error, {bad_option, replay, Replay, "a frozen build: " ++ Message}}
    end.

domain(adapter) -> module;
domain(adapter_options) -> map;
domain(erl_args) -> flags;
domain(node) -> node;
domain(cookie_file) -> file;
domain(attach_allow) -> allowed;
domain(blocks) -> {1, 1000};
domain(warmup_ms) -> {10, 600000};
domain(throughput_ms) -> {10, 600000};
domain(latency_ms) -> {10, 600000};
domain(slice_ms) -> {10, 600000};
domain(instance) -> {1, ?VARIANTS_MAX};
domain(rate_per_second) -> {1, 1000000};
domain(concurrency) -> {1, 10000};
domain(nodes) -> drivers;
domain(routers) -> {1, ?ROUTERS_MAX};
domain(distribution) -> distribution;
domain(listen) -> address;
domain(max_in_flight) -> {1, 100000};
domain(callback_timeout_ms) -> {100, 3600000};
domain(drain_timeout_ms) -> {1, 600000};
domain(sample_interval_ms) -> {10, 60000};
domain(timeout_ms) -> {1000, 86400000};
domain(seed) -> {0, 1 bsl 53};
domain(arrivals) -> {one_of, [constant, poisson]};
domain(keys) -> keys;
domain(key_count) -> {1, 1 bsl 32};
domain(control) -> boolean;
domain(p99_limit_us) -> {1, 60000000};
domain(fault) -> fault;
domain(outage_ms) -> {10, 60000};
domain(outage_tolerance_pct) -> percent;
domain(candidate) -> candidate;
domain(replay) -> replay;
domain(variants) -> variants;
domain(after_block) -> function;
domain(progress) -> function;
domain(project_dir) -> file;
domain(report_file) -> file;
domain(quiet) -> boolean.

check_adapter(#{adapter := Adapter, fault := Fault, outage_ms := OutageMs} = Plan) ->
    Required = [{init, 1}, {request, 2}, {route, 2}, {counters, 1}, {terminate, 1}],
    case code:ensure_loaded(Adapter) of
        {error, Reason} ->
            {error, {adapter, Adapter, lists:flatten(io_lib:format("not loaded: ~p", [Reason]))}};
        {module, Adapter} ->
            Missing = [Callback || {Name, Arity} = Callback <- Required,
                                   not erlang:function_exported(Adapter, Name, Arity)],
            case {Missing, can_plant(Adapter, Fault), can_be_gone(Adapter, OutageMs)} of
                {[{Name, Arity} | _], _, _} ->
                    Text = io_lib:format("does not export ~s/~b", [Name, Arity]),
                    {error, {adapter, Adapter, lists:flatten(Text)}};
                {[], false, _} ->
                    {error, {bad_option, fault, router_bench_fault:text(Fault),
                             "a fault that the adapter's faults/0 names"}};
                {[], true, false} ->
                    {error, {bad_option, outage_ms, OutageMs, "none, or an adapter that exports outage/1"}};
                {[], true, true} ->
                    {ok, Plan}
            end
    end.

can_plant(_Adapter, none) ->
    true;
can_plant(Adapter, {Name, _}) ->
    erlang:function_exported(Adapter, faults, 0) andalso lists:member(Name, Adapter:faults()).

can_be_gone(_Adapter, none) -> true;
can_be_gone(Adapter, _Ms) -> erlang:function_exported(Adapter, outage, 1).

%% @doc The plan as a measured BEAM or a driver's has it: without what only the conductor may know, the key of
%% the run's authority above all.
-spec sent(plan()) -> plan().
sent(Plan) -> Plan#{cluster := none}.

%% @doc What the adapter's `init/1' is given: its own options, which instance it is, the keys, and
%% the fault if there is one.
-spec adapter_options(plan()) -> router_bench_adapter:options().
adapter_options(#{adapter_options := Given, keys := Distribution, key_count := Count, seed := Seed,
                  fault := Fault, instance := Instance, node := Running, nodes := Drivers, reached := Reached}) ->
    Sometimes = [{fault, Fault} || Fault =/= none] ++ [{attached, true} || Running =/= []]
        ++ [{drivers, length(Drivers)} || Drivers =/= []]
        ++ [{routers, Nodes} || {here, Nodes} <- [Reached]],
    maps:merge(Given#{keys => router_bench_keys:new(Distribution, Count, Seed), instance => Instance},
               maps:from_list(Sometimes)).

%% @doc A directory of the repository whose commit is measured.
-spec repository(plan()) -> file:filename_all().
repository(#{project_dir := none, adapter := Adapter}) -> filename:dirname(code:which(Adapter));
repository(#{project_dir := Dir}) -> Dir.

%% @doc A reason in words.
-spec message(reason()) -> string().
message(Reason) ->
    lists:flatten(words(Reason)).

words({unknown_option, Key}) ->
    Known = lists:join(" ", [atom_to_list(K) || K <- [adapter | maps:keys(defaults())]]),
    io_lib:format("unknown option ~0p; the options are: ~s", [Key, Known]);
words({missing_option, Key}) ->
    io_lib:format("option ~s is missing", [Key]);
words({bad_option, Key, Value, Expected}) ->
    io_lib:format("option ~s is ~0tp; expected ~ts", [Key, Value, Expected]);
words({adapter, Module, Problem}) ->
    io_lib:format("adapter ~s ~ts", [Module, Problem]).
