-module(router_bench_env_SUITE).

-export([all/0, suite/0]).
-export([commit_and_tree_are_those_of_the_directory/1,
         what_git_complains_of_is_no_part_of_its_answer/1,
         no_variable_leads_git_to_another_repository/1,
         no_setting_and_no_replacement_hides_a_change/1,
         where_git_does_not_say_nothing_is_said/1]).

suite() ->
    [{timetrap, {minutes, 1}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

commit_and_tree_are_those_of_the_directory(Config) ->
    Repository = repository(Config, "own"),
    #{commit := Commit, tree := Tree, dirty := false} = router_bench_env:git(Repository),
    Commit = git(Repository, "rev-parse HEAD"),
    Tree = git(Repository, "rev-parse HEAD^{tree}"),
    ok = file:write_file(filename:join(Repository, "router.erl"), "changed"),
    #{commit := Commit, tree := Tree, dirty := true} = router_bench_env:git(Repository).

what_git_complains_of_is_no_part_of_its_answer(Config) ->
    Repository = repository(Config, "complaint"),
    Expected = router_bench_env:git(Repository),
    with_git(Config, "echo 'warning: unusual' >&2; exec REAL \"$@\"",
             fun() -> Expected = router_bench_env:git(Repository) end),
    with_git(Config, "echo 'no hash'", fun() -> #{} = none(router_bench_env:git(Repository)) end).

no_variable_leads_git_to_another_repository(Config) ->
    Repository = repository(Config, "here"),
    Other = repository(Config, "there"),
    Expected = router_bench_env:git(Repository),
    true = Expected =/= router_bench_env:git(Other),
    Variables = [{"GIT_DIR", filename:join(Other, ".git")}, {"GIT_WORK_TREE", Other},
                 {"GIT_INDEX_FILE", "/nowhere"}, {"GIT_GRAFT_FILE", "/nowhere"},
                 {"GIT_CONFIG_COUNT", "1"}, {"GIT_CONFIG_KEY_0", "core.abbrev"},
                 {"GIT_CONFIG_VALUE_0", "broken"}],
    [true = os:putenv(Name, Value) || {Name, Value} <- Variables],
    try
        Expected = router_bench_env:git(Repository)
    after
        [true = os:unsetenv(Name) || {Name, _} <- Variables]
    end.

no_setting_and_no_replacement_hides_a_change(Config) ->
    Repository = repository(Config, "hidden"),
    #{commit := Commit, tree := Tree} = router_bench_env:git(Repository),
    ok = file:write_file(filename:join(Repository, "router.erl"), "later"),
    git(Repository, "commit --quiet --all --message later"),
    Later = git(Repository, "rev-parse HEAD"),
    #{commit := Later, tree := LaterTree} = router_bench_env:git(Repository),
    git(Repository, "replace HEAD HEAD~1"),
    #{commit := Later, tree := LaterTree, dirty := false} = router_bench_env:git(Repository),
    true = {Commit, Tree} =/= {Later, LaterTree},
    git(Repository, "config status.showUntrackedFiles no"),
    ok = file:write_file(filename:join(Repository, "new.erl"), ""),
    #{dirty := true} = router_bench_env:git(Repository).

where_git_does_not_say_nothing_is_said(Config) ->
    Directory = filename:join(proplists:get_value(priv_dir, Config), "nowhere"),
    #{} = none(router_bench_env:git(Directory)),
    with_git(Config, "exit 128", fun() -> #{} = none(router_bench_env:git(Directory)) end).

%% Helpers

none(Map) when map_size(Map) =:= 0 -> Map.

%% With one commit, which no other repository has.
repository(Config, Name) ->
    Repository = filename:join(proplists:get_value(priv_dir, Config), Name),
    File = filename:join(Repository, "router.erl"),
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, Name),
    git(Repository, "init --quiet"),
    git(Repository, "add --all"),
    git(Repository, "commit --quiet --message begin"),
    Repository.

git(Repository, Arguments) ->
    Identity = " -c user.name=A -c user.email=a@example.org ",
    Command = "git -C " ++ Repository ++ Identity ++ Arguments,
    list_to_binary(string:trim(os:cmd(Command))).

%% Runs a function while this shell text is what is found as git.
with_git(Config, Text, Fun) ->
    Directory = filename:join(proplists:get_value(priv_dir, Config), "bin"),
    Program = filename:join(Directory, "git"),
    Real = os:find_executable("git"),
    ok = filelib:ensure_dir(Program),
    Script = ["#!/bin/sh\n", string:replace(Text, "REAL", Real), "\n"],
    ok = file:write_file(Program, Script),
    ok = file:change_mode(Program, 8#755),
    Path = os:getenv("PATH"),
    true = os:putenv("PATH", Directory ++ ":" ++ Path),
    try
        Fun()
    after
        true = os:putenv("PATH", Path)
    end.
