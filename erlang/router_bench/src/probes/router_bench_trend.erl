%% @doc The straight line through points, by ordinary least squares. Pure.
-module(router_bench_trend).

-export([slope/1, t_quantile/1]).

%% Quantile 0.975 of the normal distribution.
-define(Z, 1.959963984540054).

%% @doc The slope of the line and the ends of its 95 % interval; `unknown' with fewer than three
%% points or where all have the same abscissa.
%%
%% The slope's standard error is that of independent errors of one variance (Draper and Smith,
%% Applied Regression Analysis, 3rd edition, section 1.4). Samples of a VM's memory depend on their
%% neighbors, so the true interval is wider: read this one as a lower bound of the doubt.
-spec slope([{X :: number(), Y :: number()}]) ->
          {Slope :: float(), Low :: float(), High :: float()} | unknown.
slope([_, _, _ | _] = Points) ->
    Count = length(Points),
    MeanX = lists:sum([X || {X, _} <- Points]) / Count,
    MeanY = lists:sum([Y || {_, Y} <- Points]) / Count,
    % Sums of products of deviations: exact where the raw sums would cancel.
    Centered = [{X - MeanX, Y - MeanY} || {X, Y} <- Points],
    case lists:sum([X * X || {X, _} <- Centered]) of
        SumXX when SumXX > 0 ->
            Slope = lists:sum([X * Y || {X, Y} <- Centered]) / SumXX,
            Residuals = [Y - Slope * X || {X, Y} <- Centered],
            Freedom = Count - 2,
            Variance = lists:sum([R * R || R <- Residuals]) / Freedom,
            Half = t_quantile(Freedom) * math:sqrt(Variance / SumXX),
            {Slope, Slope - Half, Slope + Half};
        _ ->
            unknown
    end;
slope(_) ->
    unknown.

%% @doc Quantile 0.975 of Student's t distribution. Exact for 1 and 2 degrees of freedom; from 3 on
%% the asymptotic expansion of Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5,
%% which is 0.12 % too small at 3 and better than 0.01 % from 6 on.
-spec t_quantile(Freedom :: pos_integer()) -> float().
t_quantile(1) ->
    12.706204736432095;
t_quantile(2) ->
    4.302652729911275;
t_quantile(Freedom) ->
    Z2 = ?Z * ?Z,
    G1 = (Z2 + 1) * ?Z / 4,
    G2 = ((5 * Z2 + 16) * Z2 + 3) * ?Z / 96,
    G3 = (((3 * Z2 + 19) * Z2 + 17) * Z2 - 15) * ?Z / 384,
    G4 = ((((79 * Z2 + 776) * Z2 + 1482) * Z2 - 1920) * Z2 - 945) * ?Z / 92160,
    ?Z + (G1 + (G2 + (G3 + G4 / Freedom) / Freedom) / Freedom) / Freedom.
