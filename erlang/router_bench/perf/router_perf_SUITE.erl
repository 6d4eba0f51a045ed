%% @doc The benchmark as a test suite: `rebar3 as perf ct'.
%%
%% It measures through `perf-gate bench', with the modules on this VM's path; settings are the same, as
%% `PERF_*' variables or in `perf/perf_gate.toml'. It leaves a sealed report and says how to judge it.
-module(router_perf_SUITE).

-export([all/0, suite/0, cp1/1]).

%% The run has a time limit of its own; this one only catches a run that ignores it.
suite() ->
    [{timetrap, {hours, 25}}].

all() ->
    [cp1].

cp1(_Config) ->
    Gate = filename:join(code:priv_dir(router_bench), "perf-gate"),
    % Common Test changes directory; relative names are meant from where the command was typed.
    Port = open_port({spawn_executable, Gate},
                     [{args, ["bench", "--build=", "--code-path=" ++ lists:flatten(code_path()),
                              "--stop-with-stdin"]},
                      {cd, os:getenv("PWD", ".")}, {line, 4096}, binary, exit_status,
                      stderr_to_stdout]),
    case to_console(Port, "") of
        {0, Last} -> {comment, Last};
        {Status, Last} -> ct:fail("perf-gate bench ended with ~b: ~ts", [Status, Last])
    end.

code_path() ->
    Root = code:lib_dir(),
    lists:join($:, [filename:absname(Dir) || Dir <- code:get_path(), filelib:is_dir(Dir),
                                             Dir =/= ".", not lists:prefix(Root, Dir)]).

%% Progress belongs on the console, not into Common Test's pages. The exit status and the last line.
to_console(Port, Last) ->
    receive
        {Port, {data, {End, Bytes}}} ->
            Text = text(Bytes),
            ok = io:put_chars(user, [Text, [$\n || End =:= eol]]),
            to_console(Port, Text);
        {Port, {exit_status, Status}} ->
            {Status, Last}
    end.

%% What a router prints may be no UTF-8.
text(Bytes) ->
    case unicode:characters_to_list(Bytes) of
        Text when is_list(Text) -> Text;
        _ -> binary_to_list(Bytes)
    end.
