%% @doc Shares of a load: of several drivers each has every so manieth arrival and worker. Pure.
%%
%% Shares are of one schedule with one seed, so that all drivers together offer what one would.
%% @private
-module(router_bench_share).

-export([whole/0, all/1, part/2, number/2]).

-export_type([share/0]).

%% Number `Share' (from 0), and every `Of'-th after it.
-type share() :: {Share :: non_neg_integer(), Of :: pos_integer()}.

%% @doc That of one alone.
-spec whole() -> share().
whole() -> {0, 1}.

%% @doc Those of so many drivers.
-spec all(pos_integer()) -> [share(), ...].
all(Of) -> [{Share, Of} || Share <- lists:seq(0, Of - 1)].

%% @doc How many of so many arrivals, or workers, a share has.
-spec part(non_neg_integer(), share()) -> non_neg_integer().
part(Count, {Share, Of}) -> max(0, Count - Share + Of - 1) div Of.

%% @doc The number among all of what has a number (from 0) within a share.
-spec number(non_neg_integer(), share()) -> non_neg_integer().
number(Number, {Share, Of}) -> Number * Of + Share.
