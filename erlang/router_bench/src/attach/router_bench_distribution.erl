%% @doc The connection to a node that runs already. A VM that is no node becomes a hidden one for as long as it
%% lasts, which listens on nothing and which no epmd knows.
%%
%% The cookie is read from a file, and told to nobody.
%% @private
-module(router_bench_distribution).

-export([connect/2, disconnect/2, name_domain/1]).

-export_type([connection/0, problem/0]).

%% `there': to this node, or one that was connected before. `started': this VM became a node for it.
-type connection() :: there | connected | started.
-type problem() :: {cookie_file, file:filename_all(), Reason :: term()}
                 | {distribution, Reason :: term()}
                 | {no_epmd, Host :: string(), Port :: non_neg_integer()}
                 | {not_registered, Name :: string(), Port :: non_neg_integer()}
                 | {refused, cookie_file() | own}.
-type cookie_file() :: file:filename_all().

%% Who else may read or write it.
-define(OTHERS, 8#077).
-define(COOKIE_MAX_BYTES, 255).
-define(EPMD_PORT, 4369).
%% Of an epmd, which may be behind a wall that answers nothing.
-define(NAMES_MS, 5000).

%% @doc Connects to a node, with the cookie in a file; `none' is the node's own that this VM is, or else
%% `.erlang.cookie' in the home directory.
-spec connect(node(), none | cookie_file()) -> {ok, connection()} | {error, problem()}.
connect(Node, CookieFile) ->
    [Name, Host] = string:split(atom_to_list(Node), "@"),
    case lists:member(Node, [node() | nodes(connected)]) of
        true ->
            {ok, there};
        false ->
            case cookie(CookieFile) of
                {ok, Cookie} -> connect(Node, Name, Host, Cookie);
                {error, Reason} -> {error, Reason}
            end
    end.

connect(Node, Name, Host, Cookie) ->
    case started(Host) of
        {ok, Connection} ->
            _ = [true = erlang:set_cookie(Node, Text) || {_File, Text} <- [Cookie]],
            case net_kernel:hidden_connect_node(Node) of
                true ->
                    {ok, Connection};
                _ ->
                    ok = disconnect(Node, Connection),
                    {error, reason(Name, Host, Cookie)}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

started(Host) ->
    case is_alive() of
        true ->
            {ok, connected};
        false ->
            % The node's host part: a long name needs one, and not every host has a domain.
            Name = list_to_atom("router_bench_" ++ os:getpid() ++ "@" ++ Host),
            case net_kernel:start(Name, #{name_domain => name_domain(Host), dist_listen => false, hidden => true}) of
                {ok, _} -> {ok, started};
                {error, Reason} -> {error, {distribution, Reason}}
            end
    end.

%% @doc Which names the nodes of a host have.
-spec name_domain(Host :: string()) -> longnames | shortnames.
name_domain(Host) ->
    case lists:member($., Host) of
        true -> longnames;
        false -> shortnames
    end.

%% @doc Ends the connection, and this VM is what it was before.
-spec disconnect(node(), connection()) -> ok.
disconnect(_Node, there) ->
    ok;
disconnect(Node, connected) ->
    _ = erlang:disconnect_node(Node),
    ok;
disconnect(Node, started) ->
    _ = erlang:disconnect_node(Node),
    _ = net_kernel:stop(),
    ok.

%% The cookie in force, where this VM is a node and no file is named.
cookie(none) ->
    case is_alive() of
        true -> {ok, own};
        false -> cookie(home_cookie_file())
    end;
cookie(File) ->
    case {file:read_file_info(File), file:read_file(File)} of
        {{ok, Info}, {ok, Text}} when element(8, Info) band ?OTHERS =:= 0 ->
            case string:trim(Text) of
                <<>> -> {error, {cookie_file, File, empty}};
                Cookie when byte_size(Cookie) > ?COOKIE_MAX_BYTES -> {error, {cookie_file, File, too_long}};
                Cookie -> {ok, {File, binary_to_atom(Cookie, latin1)}}
            end;
        {{ok, _}, {ok, _}} ->
            {error, {cookie_file, File, open_to_others}};
        {_, {error, Reason}} ->
            {error, {cookie_file, File, Reason}};
        {{error, Reason}, _} ->
            {error, {cookie_file, File, Reason}}
    end.

home_cookie_file() ->
    case init:get_argument(home) of
        {ok, [[Home]]} -> filename:join(Home, ".erlang.cookie");
        _ -> ".erlang.cookie"
    end.

reason(Name, Host, Cookie) ->
    case names(Host) of
        {ok, Names} ->
            case lists:keymember(Name, 1, Names) of
                true -> {refused, file_of(Cookie)};
                false -> {not_registered, Name, epmd_port()}
            end;
        {error, _} ->
            {no_epmd, Host, epmd_port()}
    end.

names(Host) ->
    Caller = self(),
    {Asked, Monitor} = spawn_monitor(fun() -> Caller ! {self(), erl_epmd:names(Host)} end),
    receive
        {Asked, Answer} ->
            true = demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, process, Asked, Reason} ->
            {error, Reason}
    after ?NAMES_MS ->
            true = exit(Asked, kill),
            receive {'DOWN', Monitor, process, Asked, _} -> ok end,
            receive {Asked, Late} -> Late after 0 -> {error, timeout} end
    end.

file_of({File, _Cookie}) -> File;
file_of(own) -> own.

%% As erl takes it from ERL_EPMD_PORT.
epmd_port() ->
    case init:get_argument(epmd_port) of
        {ok, [[Port | _] | _]} -> list_to_integer(Port);
        _ -> ?EPMD_PORT
    end.
