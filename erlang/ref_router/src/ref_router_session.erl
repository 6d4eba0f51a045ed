%% @doc Sticky sessions: which provider a session of a tenant stays with, and until when.
%%
%% One row per session, written by callers (hence `public' and `write_concurrency') and read by
%% callers (`read_concurrency': most calls of a known session only read). The time to live counts
%% from the choice of the provider, not from the last use: a hit writes nothing.
%%
%% Bounded: a new session is not remembered when `MaxSessions' are. The check and the insertion are
%% two steps, so the table may exceed that by the number of callers between them. A sweep deletes
%% what has expired; what has expired is never used, swept or not.
%%
%% The table of a replaced configuration is deleted under its callers: they then know no session.
%% @private
-module(ref_router_session).

-export([new/0, find/3, bind/5, sweep/2, size/1]).
-export_type([table/0, key/0, found/0]).

-type table() :: ets:tid().
-type key() :: {ref_router_config:tenant(), Session :: binary()}.
-type found() :: none | stale | {live, ref_router_config:provider_id()}.

%% @doc Makes a table, owned by the calling process.
-spec new() -> table().
new() ->
    ets:new(ref_router_sessions, [set, public, {write_concurrency, true},
                                  {read_concurrency, true}]).

%% @doc Looks a session up at `NowMs'.
-spec find(table(), key(), NowMs :: integer()) -> found().
find(Table, Key, NowMs) ->
    try ets:lookup(Table, Key) of
        [{_Key, Provider, UntilMs}] when NowMs < UntilMs -> {live, Provider};
        [_Expired] -> stale;
        [] -> none
    catch
        error:badarg -> none
    end.

%% @doc Binds a session that {@link find/3} answered `Found' for. Of concurrent first messages of
%% a session the first to come here binds it.
-spec bind(table(), MaxSessions :: non_neg_integer(), found(), key(),
           {ref_router_config:provider_id(), UntilMs :: integer()}) -> ok | full.
bind(Table, MaxSessions, Found, {Tenant, Session}, {Provider, UntilMs}) ->
    %% Copied: a part of a larger binary would keep all of it alive.
    Row = {{Tenant, binary:copy(Session)}, Provider, UntilMs},
    try bind(Table, MaxSessions, Found, Row)
    catch error:badarg -> ok
    end.

bind(Table, MaxSessions, none, Row) ->
    case ets:info(Table, size) of
        Size when is_integer(Size), Size >= MaxSessions ->
            full;
        _Room ->
            _IsFirst = ets:insert_new(Table, Row),
            ok
    end;
bind(Table, _MaxSessions, _Known, Row) ->
    true = ets:insert(Table, Row),
    ok.

%% @doc Deletes what has expired at `NowMs' and says how many rows that were.
-spec sweep(table(), NowMs :: integer()) -> non_neg_integer().
sweep(Table, NowMs) ->
    try ets:select_delete(Table, [{{'_', '_', '$1'}, [{'=<', '$1', NowMs}], [true]}])
    catch error:badarg -> 0
    end.

%% @doc How many sessions are remembered, expired and not yet swept ones included.
-spec size(table()) -> non_neg_integer().
size(Table) ->
    case ets:info(Table, size) of
        undefined -> 0;
        Size -> Size
    end.
