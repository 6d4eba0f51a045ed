%% @doc A directory for what a router keeps on disk, for an adapter that boots one: it goes with the BEAM,
%% however that ends.
%%
%% A shell has it made and waits at a pipe, in a group of its own. When the pipe closes, it removes the
%% directory: also when the BEAM was killed.
-module(router_bench_scratch).

-export([new/0, remove/1]).

-export_type([scratch/0]).

-opaque scratch() :: port().

-define(SCRIPT, "trap '' HUP INT TERM; "
                "d=$(mktemp -d \"${TMPDIR:-/tmp}/router_bench.XXXXXX\") || exit 1; echo \"$d\"; "
                "read -r _; rm -rf \"$d\" || { sleep 1; rm -rf \"$d\"; }").
-define(TIMEOUT_MS, 10000).

%% @doc A new directory, which belongs to the calling process.
-spec new() -> {ok, file:filename(), scratch()} | {error, no_directory}.
new() ->
    Shell = open_port({spawn_executable, "/bin/sh"},
                      [{args, ["-c", ?SCRIPT]}, {line, 4096}, exit_status,
                       % Outlives the BEAM, and what is left of one that was measured is ended by this name.
                       {env, [{"ROUTER_BENCH_PEER", false}]}]),
    receive
        {Shell, {data, {eol, Directory}}} -> {ok, Directory, Shell};
        {Shell, {exit_status, _}} -> {error, no_directory}
    after ?TIMEOUT_MS -> {error, no_directory}
    end.

%% @doc Removes the directory; in the process that it belongs to.
-spec remove(scratch()) -> ok | {error, timeout}.
remove(Shell) ->
    true = port_command(Shell, "\n"),
    receive
        {Shell, {exit_status, _}} -> ok
    after ?TIMEOUT_MS -> {error, timeout}
    end.
