%% @doc The gate as a test suite: `rebar3 as perf ct'.
%%
%% It runs `perf-gate run' once, with the settings that it has from a shell (`PERF_*' variables,
%% `perf/perf_gate.toml'), and has a case for each rule of the policy and one for the whole. A case is
%% green where the gate says that its rule holds, and red where it does not, or cannot tell. The page of
%% each case shows its blocks, and the case `verdict' the table, the report and the other artifacts.
%%
%% This file comes with perf-gate and needs no other: `perf-gate init' writes it into a project.
-module(router_perf_SUITE).

%% Whatever a project wants of its own modules.
-compile([nowarn_missing_spec, nowarn_missing_spec_all]).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([verdict/1, latency_p95_ms/1, latency_p99_ms/1, rps/1, mem_mb_total_erlang/1, errors_total/1,
         backpressure_active_total/1]).

-define(METRICS, [latency_p95_ms, latency_p99_ms, rps, mem_mb_total_erlang, errors_total,
                  backpressure_active_total]).
%% What Common Test prints by default.
-define(IMPORTANCE, 50).

%% The run has a time limit of its own; this one only catches a run that ignores it.
suite() ->
    [{timetrap, {hours, 25}}].

%% The metrics that the policy has a rule for. Whether it can be read is the gate's matter, and the case of
%% the whole fails with what the gate says of it.
all() ->
    File = case os:getenv("POLICY_FILE", "") of
               "" -> filename:join(os:getenv("PERF_PROJECT", "."), "perf/policy_cp1.json");
               Given -> Given
           end,
    Policy = case file:read_file(filename:absname(File, typed_in())) of
                 {ok, Text} -> Text;
                 {error, _} -> <<>>
             end,
    [verdict | [Metric || Metric <- ?METRICS, has_rule(Metric, Policy)]].

has_rule(Metric, Policy) ->
    re:run(Policy, ["\"", atom_to_list(Metric), "\"\\s*:\\s*\\{"], [{capture, none}]) =:= match.

init_per_suite(Config) ->
    % What the cases link is in the folder of the logs, so that the folder is whole wherever it goes.
    Directory = proplists:get_value(priv_dir, Config),
    {Status, Last} = measured(gate(), Directory),
    Terms = case filelib:wildcard("perf_cases_*.terms", Directory) of
                [File] ->
                    {ok, Read} = file:consult(filename:join(Directory, File)),
                    Read;
                [] ->
                    []
            end,
    [{gate, #{status => Status, last => Last, terms => Terms}} | Config].

end_per_suite(_Config) ->
    ok.

%% Cases

verdict(Config) ->
    Directory = proplists:get_value(priv_dir, Config),
    #{status := Status, last := Last, terms := Terms} = proplists:get_value(gate, Config),
    Files = [File || File <- lists:sort(filelib:wildcard("perf_*", Directory)),
                     filename:extension(File) =/= ".terms"],
    ok = log([["<p>", link(File, Directory), "</p>\n"] || File <- Files]),
    ok = log([["<p>", Picture, "</p>\n"] || {rule, _, _, _, [_ | _] = Picture} <- Terms]),
    _ = [ct:log(default, ?IMPORTANCE, "~ts", [Table], [esc_chars])
         || File <- Files, filename:extension(File) =:= ".log",
            {ok, Table} <- [file:read_file(filename:join(Directory, File))]],
    Report = [[link(File, Directory), ": "] || File <- Files, filename:extension(File) =:= ".html"],
    case lists:keyfind(verdict, 1, Terms) of
        {verdict, Passed, Said, []} when Passed =/= passed; Status =:= 0 ->
            ended(Passed, Report, Said);
        {verdict, _, Said, Reasons} ->
            Why = [Said | Reasons] ++ [Last || Status =/= 0, Reasons =:= []],
            ended(failed, Report, lists:flatten(lists:join("\n", Why)));
        false ->
            ended(failed, Report, no_verdict(Status, Last))
    end.

latency_p95_ms(Config) -> rule(latency_p95_ms, Config).
latency_p99_ms(Config) -> rule(latency_p99_ms, Config).
rps(Config) -> rule(rps, Config).
mem_mb_total_erlang(Config) -> rule(mem_mb_total_erlang, Config).
errors_total(Config) -> rule(errors_total, Config).
backpressure_active_total(Config) -> rule(backpressure_active_total, Config).

rule(Metric, Config) ->
    #{status := Status, last := Last, terms := Terms} = proplists:get_value(gate, Config),
    Verdict = case lists:keyfind(verdict, 1, Terms) of
                  {verdict, _, Whole, Reasons} -> lists:flatten(lists:join("\n", [Whole | Reasons]));
                  false -> no_verdict(Status, Last)
              end,
    case lists:keyfind(Metric, 2, Terms) of
        {rule, Metric, Passed, Said, Picture} ->
            ok = log(["<p>", Picture, "</p>\n"]),
            ended(Passed, "", Said);
        false ->
            ended(failed, "", "not judged: " ++ Verdict)
    end.

no_verdict(Status, Last) ->
    lists:flatten(io_lib:format("perf-gate run ended with ~b and without a verdict: ~ts", [Status, Last])).

%% The comment stands in the list of cases, which is HTML.
ended(Passed, Before, Said) ->
    ok = ct:comment("~ts~ts", [Before, html(Said)]),
    case Passed of
        passed -> ok;
        failed -> ct:fail("~ts", [printable(Said)])
    end.

%% Pages

log([]) -> ok;
log(Html) -> ct:log(default, ?IMPORTANCE, "~ts", [Html], [no_css]).

link(File, Directory) ->
    ["<a href=\"", filename:basename(Directory), "/", html(File), "\">", html(File), "</a>"].

html(Text) ->
    lists:append([case Character of
                      $& -> "&amp;";
                      $< -> "&lt;";
                      $> -> "&gt;";
                      $" -> "&quot;";
                      $' -> "&#39;";
                      _ -> [Character]
                  end || Character <- Text]).

%% A reason with other characters would be shown as a list of numbers.
printable(Text) ->
    lists:append([case Character of
                      _ when Character >= 32, Character =< 126; Character =:= $\n -> [Character];
                      _ -> io_lib:format("\\x{~.16B}", [Character])
                  end || Character <- Text]).

%% Running

%% Beside the bench where that is a dependency, else where it is installed.
gate() ->
    Beside = [filename:join(Dir, "perf-gate") || Dir <- [code:priv_dir(router_bench)], is_list(Dir)],
    Installed = [Path || Path <- [os:find_executable("perf-gate")], is_list(Path)],
    case lists:filter(fun filelib:is_regular/1, Beside) ++ Installed of
        [Gate | _] -> {ok, Gate};
        [] -> none
    end.

measured(none, _Directory) ->
    {127, "perf-gate is neither on PATH nor beside router_bench: install it, docs/adopt.md says how"};
measured({ok, Gate}, Directory) ->
    to_console(open_port({spawn_executable, Gate},
                         [{args, ["run", "--common-test=" ++ Directory]}, {cd, typed_in()},
                          {line, 4096}, binary, exit_status, stderr_to_stdout]), "", "").

%% Common Test changes directory; relative names are meant from where the command was typed.
typed_in() ->
    os:getenv("PWD", ".").

%% What the gate prints belongs on the console. The exit status and the last line.
to_console(Port, Begun, Last) ->
    receive
        {Port, {data, {End, Bytes}}} ->
            Text = text(Bytes),
            ok = io:put_chars(user, [Text, [$\n || End =:= eol]]),
            case {End, Begun ++ Text} of
                {noeol, Line} -> to_console(Port, Line, Last);
                {eol, ""} -> to_console(Port, "", Last);
                {eol, Line} -> to_console(Port, "", Line)
            end;
        {Port, {exit_status, Status}} ->
            {Status, Last}
    end.

%% What a router prints may be no UTF-8.
text(Bytes) ->
    case unicode:characters_to_list(Bytes) of
        Text when is_list(Text) -> Text;
        _ -> binary_to_list(Bytes)
    end.
