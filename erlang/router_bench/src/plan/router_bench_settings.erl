%% @doc The settings of scripts and continuous integration: `PERF_*' environment variables.
-module(router_bench_settings).

-export([options/0, main/0]).

-define(DEFAULT_ADAPTER, "ref_router_adapter").
%% What the run leaves of the script's time limit, to write its report before it is killed.
-define(GRACE_MS, 5000).
-define(KEYS, "uniform, or zipf:S with an exponent S above 0 and up to 10").

%% @doc The options of a run as the environment has them.
-spec options() -> {ok, router_bench_plan:options()} | {error, Message :: string()}.
options() ->
    try
        Mode = mode(),
        Numbers = [{Key, Value} || {Variable, Key, Min, Max} <- numbers(),
                                   {ok, Value} <- [number(Variable, Min, Max)]],
        {ok, maps:merge(Mode, maps:from_list(Numbers ++ arrivals() ++ keys() ++ timeout() ++ fault()
                                             ++ replay() ++ looks() ++ [{adapter, adapter()}]))}
    catch
        throw:{setting, Message} -> {error, lists:flatten(Message)}
    end.

%% @doc Prints `timeout_seconds=N' and ends the VM with 0; with 2 and a message for a bad setting.
-spec main() -> no_return().
main() ->
    case options() of
        {ok, _} ->
            io:format("timeout_seconds=~b~n", [timeout_seconds()]),
            halt(0);
        {error, Message} ->
            io:format(standard_error, "~ts~n", [Message]),
            halt(2)
    end.

numbers() ->
    [{"PERF_BLOCKS", blocks, 1, 1000},
     {"PERF_WARMUP_MS", warmup_ms, 10, 600000},
     {"PERF_THROUGHPUT_MS", throughput_ms, 10, 600000},
     {"PERF_LATENCY_MS", latency_ms, 10, 600000},
     {"PERF_SLICE_MS", slice_ms, 10, 600000},
     {"PERF_RATE", rate_per_second, 1, 1000000},
     {"PERF_CONCURRENCY", concurrency, 1, 10000},
     {"PERF_CALLBACK_TIMEOUT_MS", callback_timeout_ms, 100, 3600000},
     {"PERF_KEY_COUNT", key_count, 1, 1 bsl 32},
     {"PERF_SEED", seed, 0, 1 bsl 53}].

%% An empty variable counts as unset: continuous integration often exports it so.
variable(Name) ->
    case os:getenv(Name, "") of
        "" -> unset;
        Text -> {ok, Text}
    end.

number(Name, Min, Max) ->
    case variable(Name) of
        unset ->
            unset;
        {ok, Text} ->
            case string:to_integer(Text) of
                {Value, ""} when Value >= Min, Value =< Max -> {ok, Value};
                _ -> bad(Name, Text, io_lib:format("a whole number from ~b to ~b", [Min, Max]))
            end
    end.

arrivals() ->
    case variable("PERF_ARRIVALS") of
        unset -> [];
        {ok, "constant"} -> [{arrivals, constant}];
        {ok, "poisson"} -> [{arrivals, poisson}];
        {ok, Other} -> bad("PERF_ARRIVALS", Other, "constant or poisson")
    end.

keys() ->
    case variable("PERF_KEYS") of
        unset -> [];
        {ok, "uniform"} -> [{keys, uniform}];
        {ok, "zipf:" ++ Exponent = Text} -> [{keys, {zipf, exponent(Text, Exponent)}}];
        {ok, Other} -> bad("PERF_KEYS", Other, ?KEYS)
    end.

exponent(Text, Exponent) ->
    case {string:to_float(Exponent), string:to_integer(Exponent)} of
        {{Float, ""}, _} when Float > 0, Float =< 10 -> Float;
        {_, {Integer, ""}} when Integer > 0, Integer =< 10 -> Integer;
        _ -> bad("PERF_KEYS", Text, ?KEYS)
    end.

timeout_seconds() ->
    case number("PERF_TIMEOUT_SECONDS", 10, 86400) of
        {ok, Seconds} -> Seconds;
        unset -> 900
    end.

timeout() ->
    Ms = timeout_seconds() * 1000,
    [{timeout_ms, max(Ms div 2, Ms - ?GRACE_MS)}].

mode() ->
    case {variable("PERF_MODE"), is_merge_request()} of
        {{ok, "smoke"}, _} -> router_bench_plan:smoke();
        {{ok, "gate"}, _} -> #{};
        {{ok, Other}, _} -> bad("PERF_MODE", Other, "smoke or gate");
        {unset, true} -> router_bench_plan:smoke();
        {unset, false} -> #{}
    end.

is_merge_request() ->
    os:getenv("CI_PIPELINE_SOURCE") =:= "merge_request_event"
        orelse os:getenv("GITHUB_EVENT_NAME") =:= "pull_request".

fault() ->
    case variable("PERF_FAULT") of
        unset ->
            [];
        {ok, Text} ->
            case router_bench_fault:parse(Text) of
                {ok, Fault} -> [{fault, Fault}];
                {error, Message} -> bad("PERF_FAULT", Text, Message)
            end
    end.

%% Set by scripts/perf_gate.sh: the frozen build of a replay and where its report goes.
replay() ->
    case [variable(Name) || Name <- ["PERF_REPLAY_LIB_DIR", "PERF_REPLAY_REPORT_FILE",
                                     "PERF_REPLAY_COMMIT", "PERF_REPLAY_TREE"]] of
        [{ok, LibDir}, {ok, File}, {ok, Commit} | Tree] ->
            Trees = [{tree, list_to_binary(Hash)} || {ok, Hash} <- Tree],
            [{replay, maps:from_list([{lib_dir, LibDir}, {report_file, File},
                                      {commit, list_to_binary(Commit)} | Trees])}];
        _ ->
            []
    end.

%% Set by scripts/perf_gate.sh: after how many blocks, separated by commas, which program is asked.
%% The last look ends the run, unless PERF_BLOCKS says how many blocks there are: then there is
%% nothing to ask.
looks() ->
    case {variable("PERF_LOOKS"), variable("PERF_LOOK_COMMAND"), variable("PERF_BLOCKS")} of
        {{ok, Text}, {ok, Command}, unset} ->
            Looks = [look(Text, Look) || Look <- string:split(Text, ",", all)],
            [{looks, Looks}, {blocks, lists:last(Looks)}, {look_command, [Command]}];
        _ ->
            []
    end.

look(Text, Look) ->
    case string:to_integer(Look) of
        {Value, ""} when Value >= 1, Value =< 1000 -> Value;
        _ -> bad("PERF_LOOKS", Text, "numbers of blocks, separated by commas")
    end.

adapter() ->
    Text = case variable("PERF_ADAPTER") of
               unset -> ?DEFAULT_ADAPTER;
               {ok, Name} -> Name
           end,
    case re:run(Text, "^[a-z][A-Za-z0-9_@]{0,200}$", [{capture, none}]) of
        match -> list_to_atom(Text);
        nomatch -> bad("PERF_ADAPTER", Text, "the name of an adapter module")
    end.

-spec bad(string(), string(), unicode:chardata()) -> no_return().
bad(Name, Text, Expected) ->
    throw({setting, io_lib:format("~s is ~0tp; expected ~ts", [Name, Text, Expected])}).
