"""A method is a recipe: one row of `RECIPES`, everything that determines a stored vector.

A score is always an inner product of a query feature and a training feature. A recipe says what is
differentiated on each side, how the gradient becomes k numbers, which curvature preconditions it and on
which side, whether features are normalized, and which members make the ensemble. Adding a method that
fits is adding a row. Adding a projection or a curvature is adding a class to a union below.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from byline.api.validation import describe_errors
from byline.curvature.arnoldi import Arnoldi
from byline.curvature.base import NoCurvature
from byline.curvature.datainf import DataInf
from byline.curvature.explicit import Explicit
from byline.curvature.filters import FilteredCurvature
from byline.curvature.fisher import Fisher
from byline.curvature.iterative import Cg, IterativeCurvature, Lissa
from byline.curvature.kronecker import Ekfac, Kfac
from byline.curvature.labels import Labels
from byline.curvature.products import Matrix
from byline.curvature.trajectory import Trajectory
from byline.errors import InvalidQuery, InvalidRecipe
from byline.groups import GroupOptions
from byline.members import MemberPlan
from byline.projection.base import IdentityProjection
from byline.projection.dense import DenseProjection
from byline.projection.eigenbasis import EigenbasisProjection
from byline.projection.factorised import FactorisedProjection
from byline.projection.masking import FactorisedGrassProjection, GrassProjection, MaskProjection
from byline.projection.pca import Pca
from byline.projection.ritz import RitzProjection
from byline.projection.sjlt import SjltProjection
from byline.scale.adam import AdamDirection
from byline.scale.base import NoScale
from byline.scale.row_weights import RowWeight
from byline.scale.second_moment import SecondMoment

Projection = Annotated[
    IdentityProjection
    | DenseProjection
    | SjltProjection
    | MaskProjection
    | GrassProjection
    | FactorisedProjection
    | FactorisedGrassProjection
    | EigenbasisProjection
    | RitzProjection,
    Field(discriminator="kind"),
]
Curvature = Annotated[
    NoCurvature | Fisher | Explicit | DataInf | Kfac | Ekfac | Trajectory | Cg | Lissa | Arnoldi,
    Field(discriminator="kind"),
]
Scale = Annotated[NoScale | SecondMoment | AdamDirection, Field(discriminator="kind")]
SideRule = Literal["none", "one_sided", "two_sided", "solved"]

SIDE_POWERS: dict[SideRule, tuple[float, float]] = {
    "none": (0.0, 0.0),
    "one_sided": (-1.0, 0.0),
    "two_sided": (-0.5, -0.5),
    "solved": (-0.5, 0.5),
}
"""Side rule -> powers of the damped curvature on (training side, query side). `solved` inverts it for the query's whole
gradient, before the projection, and the two powers cancel."""


class Recipe(BaseModel):
    """Everything that determines a stored vector. Frozen, and hashed into the index's fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """The row of `RECIPES` that this came from."""
    train_signal: str = "loss"
    """Function that is differentiated for a training point: `loss` or one of the Task's targets."""
    query_target: str = "loss"
    """Target that is differentiated for a query that names none."""
    layers: Literal["all", "last"] = "all"
    """`last` attributes the parameters of the last layer that the model calls, and of no other."""
    scale: Scale = NoScale()
    """Factors of a gradient's entries before the projection."""
    projection: Projection
    """Projection of a gradient to k numbers."""
    curvature: Curvature = NoCurvature()
    """Curvature whose inverse preconditions the gradient."""
    sides: SideRule = "none"
    """Side of the inverse: `two_sided` puts a square root on each side and allows `unit_norm`."""
    unit_norm: bool = False
    """Divide each member's feature by its length, after preconditioning: scores become cosines."""
    row_weight: RowWeight = "none"
    """Column that multiplies the training side, averaged over the members: TRAK's 1 - p, and others."""
    members: MemberPlan = MemberPlan()
    """Models of the ensemble."""
    pca: Pca | None = None
    """Rotate all members' features together onto their strongest directions: ten masks at the bytes of one."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.sides in {"one_sided", "solved"} and self.unit_norm:
            raise InvalidRecipe(
                f"unit_norm needs sides = 'none' or 'two_sided': a {self.sides.replace('_', '-')} score is not a cosine"
            )
        if (self.sides == "solved") != isinstance(self.curvature, IterativeCurvature):
            raise InvalidRecipe(
                "sides = 'solved' needs curvature 'cg' or 'lissa', and these need sides = 'solved'"
            )
        if (self.sides == "none") != isinstance(self.curvature, NoCurvature):
            raise InvalidRecipe(
                "sides = 'none' needs curvature 'none', and every other side rule needs a curvature"
            )
        self._eigenbasis_fits()
        if isinstance(self.projection, RitzProjection) != isinstance(self.curvature, Arnoldi):
            raise InvalidRecipe(
                "projection 'ritz' needs curvature 'arnoldi', and curvature 'arnoldi' needs it"
            )
        if isinstance(self.curvature, Explicit) and self.curvature.matrix == "hessian":
            self._fits_a_hessian()
        if self.recorded:
            self._fits_a_recorded_run()
        self._scale_fits()
        if self.uses_run_time and self.members.adapters:
            raise InvalidRecipe(
                "curvature.filter 'finite_run' is of a checkpoint's run, which did not train its adapters: take filter "
                "'damped', or leave members.adapters out"
            )
        if self.labels != "given" and self.train_signal != "loss":
            raise InvalidRecipe("curvature labels 'sampled' and 'exact' need train_signal 'loss'")
        return self

    def _eigenbasis_fits(self) -> None:
        eigenbasis, kronecker = EigenbasisProjection, Kfac | Ekfac
        fitted = isinstance(self.curvature, kronecker)
        if isinstance(self.projection, eigenbasis) and not (fitted or isinstance(self.curvature, Cg)):
            raise InvalidRecipe(
                "projection 'eigenbasis' needs curvature 'kfac', 'ekfac' or 'cg', which fit it, got another"
            )
        if fitted and not isinstance(self.projection, eigenbasis):
            raise InvalidRecipe(
                "curvature 'kfac' and 'ekfac' need projection 'eigenbasis', which they are diagonal in, got another"
            )

    @model_validator(mode="after")
    def _row_weight_fits(self) -> Self:
        if self.row_weight == "one_minus_p" and self.train_signal != "margin":
            raise InvalidRecipe(
                "row_weight 'one_minus_p' needs train_signal 'margin': p is read off the margin"
            )
        if self.members.forward_masks and self.row_weight != "one_minus_p":
            raise InvalidRecipe(
                "members.forward_masks needs row_weight 'one_minus_p': these masks make that weight and nothing else"
            )
        if self.row_weight in {"leverage", "relative_theta", "relative_l"} and self.sides in {
            "none",
            "solved",
        }:
            raise InvalidRecipe(
                f"row_weight '{self.row_weight}' is made of the inverse curvature of every training point: choose one "
                f"that is not solved for queries alone"
            )
        return self

    def _fits_a_hessian(self) -> None:
        whole = isinstance(self.projection, IdentityProjection) and isinstance(self.scale, NoScale)
        if self.uses_run_time:
            raise InvalidRecipe(
                "curvature.filter 'finite_run' needs curvature.matrix 'ggn': it is of eigenvalues that are not negative"
            )
        if self.sides != "one_sided" or not whole or self.row_weight not in {"none", "one_minus_p"}:
            raise InvalidRecipe(
                "curvature 'explicit' with matrix 'hessian' goes with sides 'one_sided' and the projection 'identity', "
                "without a scale and row weights that are made of the inverse: the Hessian is indefinite, it has no root"
            )

    def _fits_a_recorded_run(self) -> None:
        plain = (
            self.sides == "one_sided"
            and self.row_weight == "none"
            and not (self.members.masks or self.members.adapters)
        )
        if not plain or self.train_signal != "loss":
            raise InvalidRecipe(
                "curvature 'trajectory' goes with sides 'one_sided' and train_signal 'loss', and without row_weight, masks "
                "and adapters: it is of the steps that the model itself was trained by"
            )

    @property
    def recorded(self) -> bool:
        """Whether training points' features come from a recorded run (`Checkpoint.recording`)."""
        return isinstance(self.curvature, Trajectory)

    @property
    def uses_run_time(self) -> bool:
        """Whether the curvature's filter is of a checkpoint's learning rate and steps."""
        return isinstance(self.curvature, FilteredCurvature) and self.curvature.filter == "finite_run"

    def _scale_fits(self) -> None:
        scaled = NoCurvature | Fisher | Explicit | DataInf | Kfac | Ekfac | Trajectory
        if self.recorded and isinstance(self.scale, SecondMoment) and self.scale.power != 0.25:
            raise InvalidRecipe(
                f"expected scale.power = 0.25 for curvature 'trajectory', whose scale is that of AdamW's own steps, got "
                f"{self.scale.power}"
            )
        if not isinstance(self.scale, NoScale) and not isinstance(self.curvature, scaled):
            raise InvalidRecipe(
                f"a scale goes with curvature 'none', 'fisher', 'explicit', 'datainf', 'kfac', 'ekfac' or 'trajectory', "
                f"which are of gradients, got '{self.curvature.kind}'"
            )
        if not self.scale.linear and (self.sides != "none" or self.train_signal != "loss"):
            raise InvalidRecipe(
                f"scale '{self.scale.kind}' is a direction that a training step takes: it goes with sides 'none', "
                f"curvature 'none' and train_signal 'loss'"
            )

    @property
    def product_matrix(self) -> Matrix | None:
        """The matrix that is met by its products with vectors alone. None where it is made of gradients."""
        curvature = self.curvature
        if isinstance(curvature, IterativeCurvature | Arnoldi):
            return curvature.matrix
        hessian = isinstance(curvature, Explicit) and curvature.matrix == "hessian"
        return "hessian" if hessian else None

    @property
    def labels(self) -> Labels:
        """Labels that the curvature is fitted with, and that the leverage is taken at."""
        return "given" if isinstance(self.curvature, NoCurvature) else self.curvature.labels


_TWO_SIDED: dict[str, Any] = {"sides": "two_sided"}
_MARGIN: dict[str, Any] = {
    "train_signal": "margin",
    "query_target": "margin",
    "row_weight": "one_minus_p",
}
_WIDE: dict[str, Any] = {
    "projection": EigenbasisProjection(size=65_536, rank=128),
    "curvature": Ekfac(),
    "pca": Pca(size=1024, sample=4096),
    **_TWO_SIDED,
}
_TABLE = (
    Recipe(name="grad_dot", projection=SjltProjection(size=4096)),
    Recipe(name="grad_cos", projection=SjltProjection(size=4096), unit_norm=True),
    Recipe(
        name="tracin",
        projection=SjltProjection(size=4096),
        members=MemberPlan(weights="learning_rate"),
    ),
    Recipe(
        name="rps",
        query_target="logit",
        layers="last",
        projection=IdentityProjection(),
    ),
    Recipe(
        name="trak",
        projection=SjltProjection(size=1024),
        curvature=Fisher(damping=3.0),
        **_TWO_SIDED,
        **_MARGIN,
    ),
    Recipe(
        name="d_trak",
        train_signal="square",
        query_target="square",
        projection=SjltProjection(size=1024),
        curvature=Fisher(damping=3.0),
        **_TWO_SIDED,
    ),
    Recipe(
        name="logra",
        projection=FactorisedProjection(),
        curvature=Fisher(blocks="layer"),
        **_TWO_SIDED,
    ),
    Recipe(name="grass", projection=GrassProjection(size=1024), curvature=Fisher(), **_TWO_SIDED),
    Recipe(
        name="factgrass",
        projection=FactorisedGrassProjection(),
        curvature=Fisher(blocks="layer"),
        **_TWO_SIDED,
    ),
    Recipe(name="kfac", projection=EigenbasisProjection(), curvature=Kfac(), **_TWO_SIDED),
    Recipe(name="ekfac", projection=EigenbasisProjection(), curvature=Ekfac(), **_TWO_SIDED),
    Recipe(name="ekfac_pca", **_WIDE),
    Recipe(name="ekfac_adam", scale=SecondMoment(sample=1024), **_WIDE),
    Recipe(
        name="ekfac_margin",
        projection=EigenbasisProjection(),
        curvature=Ekfac(damping=1.0),
        **_TWO_SIDED,
        **_MARGIN,
    ),
    Recipe(name="if_exact", projection=IdentityProjection(), curvature=Explicit(), **_TWO_SIDED),
    Recipe(name="arnoldi", projection=RitzProjection(), curvature=Arnoldi(), **_TWO_SIDED),
    Recipe(name="if_cg", projection=EigenbasisProjection(size=4096), curvature=Cg(), sides="solved"),
    Recipe(name="if_lissa", projection=SjltProjection(size=4096), curvature=Lissa(), sides="solved"),
    Recipe(
        name="datainf",
        projection=FactorisedProjection(),
        curvature=DataInf(),
        sides="one_sided",
    ),
    Recipe(
        name="dvemb",
        projection=FactorisedProjection(size_in=32, size_out=16),
        curvature=Trajectory(),
        sides="one_sided",
    ),
    Recipe(
        name="rif",
        projection=FactorisedProjection(),
        curvature=Fisher(blocks="layer", labels="sampled"),
        row_weight="leverage",
        **_TWO_SIDED,
    ),
    Recipe(
        name="relatif",
        projection=EigenbasisProjection(),
        curvature=Ekfac(),
        row_weight="relative_l",
        **_TWO_SIDED,
    ),
    Recipe(
        name="trackstar",
        scale=SecondMoment(),
        projection=FactorisedProjection(),
        curvature=Fisher(blocks="layer", damping=3.0),
        unit_norm=True,
        **_TWO_SIDED,
    ),
    Recipe(
        name="less",
        scale=AdamDirection(),
        projection=SjltProjection(size=8192),
        unit_norm=True,
        members=MemberPlan(weights="learning_rate"),
    ),
)

RECIPES: dict[str, Recipe] = {row.name: row for row in _TABLE}
"""The methods by name."""


def recipe(name: str, **changes: Any) -> Recipe:
    """Take a row of the table, changed where the caller wants it.

    Args:
        name: A key of `RECIPES`.
        changes: Fields to replace. A mapping is merged into the part it names:
            `recipe("ekfac", projection={"size": 512})`.

    Returns:
        The validated recipe.

    Raises:
        InvalidRecipe: There is no such row, or the changes do not fit.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise InvalidRecipe(f"expected one of the recipes {', '.join(sorted(RECIPES))}, got another name")
    row = RECIPES[name].model_dump()
    for field, change in changes.items():
        same_part = isinstance(change, dict) and isinstance(row.get(field), dict)
        same_kind = same_part and change.get("kind", row[field].get("kind")) == row[field].get("kind")
        row[field] = {**row[field], **change} if same_kind else change
    try:
        return Recipe.model_validate(row)
    except ValidationError as error:
        raise InvalidRecipe(f"recipe '{name}': {describe_errors(error, Recipe)}") from error


def refuse_unsummable(chosen: Recipe, groups: GroupOptions) -> None:
    """Require that a group's feature is the sum of its points'.

    Raises:
        InvalidRecipe: The recipe's features do not add up, or not without single points' gradients.
    """
    name = chosen.name
    if chosen.unit_norm:
        raise InvalidRecipe(
            f"recipe '{name}' divides each point's feature by its length, and such features do not add up to a "
            f"group's: take a recipe without unit_norm, or no groups"
        )
    if not chosen.scale.linear:
        raise InvalidRecipe(
            f"recipe '{name}' takes each point's own optimizer step, and a group's step is not the sum of its points' "
            f"steps: take scale 'none', or no groups"
        )
    if chosen.recorded and (groups.build == "fast" or chosen.pca is not None):
        raise InvalidRecipe(
            f"recipe '{name}' takes points' features from a recorded run: groups need build = 'sums', and no pca"
        )
    if chosen.sides == "one_sided" and not chosen.recorded:
        raise InvalidRecipe(
            f"groups need sides 'none' or 'two_sided', got 'one_sided' of recipe '{name}': take 'two_sided' where the "
            f"curvature is positive definite"
        )
    if chosen.row_weight == "leverage":
        raise InvalidRecipe(
            f"recipe '{name}' weighs points by their leverage, which a drill-down could not compute: take no groups"
        )
    if groups.build == "fast" and chosen.row_weight not in {"none", "one_minus_p"}:
        raise InvalidRecipe(
            f"recipe '{name}' weighs points by their own gradients, which groups.build = 'fast' never takes: take 'sums'"
        )
    if groups.build == "fast" and groups.micro_batch != 1 and isinstance(chosen.curvature, DataInf):
        raise InvalidRecipe(
            "curvature 'datainf' is of single points' gradients, and no sum of micro-batches: take groups.micro_batch = 1, "
            "or groups.build = 'sums'"
        )
    if groups.build == "fast" and chosen.pca is not None:
        raise InvalidRecipe("a pca is fitted on single points' features: take groups.build = 'sums' with it")


def refuse_no_self_influence(chosen: Recipe) -> None:
    """Require that stored vectors give the training points' own scores, and that these differ.

    Raises:
        InvalidQuery: They do not.
    """
    if chosen.sides == "solved":
        raise InvalidQuery(
            f"recipe '{chosen.name}' solves its inverse for queries alone, so an index holds no self-influence of "
            f"training points: build with a recipe whose inverse is fitted, such as 'ekfac' or 'if_exact'"
        )
    if chosen.unit_norm:
        raise InvalidQuery(
            f"recipe '{chosen.name}' divides every feature by its length, so the "
            f"self-influence of every training point is the same and ranks nothing: build with a "
            f"recipe without unit_norm, such as 'ekfac'"
        )
