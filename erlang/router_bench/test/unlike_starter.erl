%% Starts a BEAM that is not as those of this machine, with what `scripts/setup.sh --with' unpacks.
-module(unlike_starter).
-behaviour(router_bench_far).

-export([start/1, tool/1, node_way/1]).

-define(INSIDE, "mount --bind /dev \"$0/dev\" && mount -t proc proc \"$0/proc\" && exec chroot \"$0\" erl \"$@\"").
-define(WITHOUT_PROGRAMS, "mount -t tmpfs -o noexec tmpfs /tmp && exec erl \"$@\"").

%% One whose clock runs faster by a factor.
start(<<"clock:", Factor/binary>>) ->
    {ok, Library} = tool(clock),
    Faster = "FAKETIME=+0 x" ++ binary_to_list(Factor),
    {ok, #{exec => {os:find_executable("env"), ["LD_PRELOAD=" ++ Library, Faster, "erl"]}}};
%% One that loads no library that was sent.
start(<<"noexec">>) ->
    mounted(?WITHOUT_PROGRAMS, "sh");
%% One of another release, or for another architecture.
start(Other) ->
    {ok, Tree} = tool(binary_to_atom(Other)),
    mounted(?INSIDE, Tree).

mounted(Script, Argument) ->
    {ok, #{exec => {os:find_executable("unshare"), ["--mount", "/bin/sh", "-c", Script, Argument]}}}.

%% The words of such an `erl'.
node_way(Which) ->
    {ok, #{exec := {Program, Arguments}}} = start(Which),
    [Program | Arguments].

%% Where something was unpacked.
tool(clock) -> unpacked("faketime/usr/lib/*/faketime/libfaketime.so.1");
tool(release) -> unpacked("otp/release");
tool(architecture) -> unpacked("otp/architecture").

unpacked(Pattern) ->
    case filelib:wildcard(filename:join([repository(), "_build/test_tools", Pattern])) of
        [Found] -> {ok, Found};
        [] -> none
    end.

repository() ->
    Source = proplists:get_value(source, module_info(compile)),
    filename:dirname(filename:dirname(filename:dirname(filename:dirname(Source)))).
