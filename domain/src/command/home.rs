//! Where a key belongs, and which keys may be put there by whom.

use crate::id::{ProjectId, TeamId, UserId};
use crate::key::Key;
use crate::refusal::{Code, Refusal};

/// Where a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Its project.
    pub project: ProjectId,
    /// Its user.
    pub user: Option<UserId>,
    /// Its team, where it has no user.
    pub team: Option<TeamId>,
}

impl Default for Home {
    fn default() -> Self {
        Self { project: ProjectId::DEFAULT, user: None, team: None }
    }
}

impl Home {
    /// Where `key` belongs.
    pub const fn of(key: &Key) -> Self {
        Self { project: key.project, user: key.user, team: key.team }
    }
}

/// Where a key is to be put. What is not said is as with its maker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// A project.
    pub project: Option<ProjectId>,
    /// A user, and with them their team.
    pub user: Option<UserId>,
    /// A team, for a key of no person.
    pub team: Option<TeamId>,
}

impl Place {
    /// The home it means. `maker` is where the management key that makes the key belongs; the
    /// operator puts keys anywhere. `users_team` is the team of the user that is named here.
    ///
    /// # Errors
    /// The user is in another team, or the key would stand outside of its maker's home.
    pub fn resolve(self, maker: Option<Home>, users_team: Option<TeamId>) -> Result<Home, Refusal> {
        let bound = maker;
        let maker = maker.unwrap_or_default();
        let project = self.project.unwrap_or(maker.project);
        let (user, team) = match (self.user, self.team) {
            (None, None) => (maker.user, maker.team),
            (Some(_), Some(team)) if users_team != Some(team) => {
                return no("team_id", "This user is not in this team. Name the user alone.");
            }
            (Some(user), _) => (Some(user), None),
            (None, Some(team)) => (None, Some(team)),
        };
        let home = Home { project, user, team };
        bound.map_or(Ok(()), |maker| maker.has(home, users_team))?;
        Ok(home)
    }
}

impl Home {
    /// Whether a management key that belongs here may put a key into `home`: its own project, and
    /// of users and teams its own and the users of its own team.
    fn has(self, home: Self, users_team: Option<TeamId>) -> Result<(), Refusal> {
        let no = |param: &str, message: &str| {
            Err(Refusal::new(Code::ExceedsCeiling, message).about(param))
        };
        if home.project != self.project {
            return no("project_id", "This management key makes keys of its own project only.");
        }
        let of_own_team = self.team.is_some() && users_team == self.team;
        if home.user != self.user && !(self.user.is_none() && of_own_team) {
            return no(
                "user_id",
                "This management key makes keys for its own user, or the users of its own team, only.",
            );
        }
        if home.user.is_none() && home.team != self.team {
            return no("team_id", "This management key makes keys of its own team only.");
        }
        Ok(())
    }
}

fn no(param: &str, message: &str) -> Result<Home, Refusal> {
    Err(Refusal::new(Code::InvalidValue, message).about(param))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_seconds(0);

    fn project(number: u128) -> ProjectId {
        ProjectId::new(NOW, number)
    }

    fn user(number: u128) -> UserId {
        UserId::new(NOW, number)
    }

    fn team(number: u128) -> TeamId {
        TeamId::new(NOW, number)
    }

    #[test]
    fn a_key_belongs_where_it_is_put_and_stays_where_its_maker_is() {
        let anywhere = Home::default();
        let in_project = Home { project: project(1), ..anywhere };
        let of_user = Home { user: Some(user(1)), ..anywhere };
        let of_team = Home { team: Some(team(1)), ..anywhere };
        let to = |project, user, team| Place { project, user, team };
        let (p1, u1, t1) = (Some(project(1)), Some(user(1)), Some(team(1)));
        let (p2, u2, t2) = (Some(project(2)), Some(user(2)), Some(team(2)));
        #[rustfmt::skip]
        let table = [
            (None, to(p1, u1, None), t1, Ok(Home { user: u1, ..in_project })),
            (None, to(None, None, t2), None, Ok(Home { team: t2, ..anywhere })),
            (None, to(None, u1, t2), t1, Err("team_id")),
            (Some(anywhere), to(None, None, None), None, Ok(anywhere)),
            (Some(anywhere), to(p1, None, None), None, Err("project_id")),
            (Some(anywhere), to(None, u1, None), t1, Err("user_id")),
            (Some(anywhere), to(None, u1, None), None, Err("user_id")),
            (Some(anywhere), to(None, None, t1), None, Err("team_id")),
            (Some(in_project), to(None, None, None), None, Ok(in_project)),
            (Some(in_project), to(p1, u1, None), None, Err("user_id")),
            (Some(in_project), to(p2, None, None), None, Err("project_id")),
            (Some(of_user), to(None, None, None), None, Ok(of_user)),
            (Some(of_user), to(None, u1, None), t1, Ok(of_user)),
            (Some(of_user), to(None, u2, None), t1, Err("user_id")),
            (Some(of_user), to(None, None, t1), None, Err("user_id")),
            (Some(of_team), to(None, None, None), None, Ok(of_team)),
            (Some(of_team), to(None, None, t1), None, Ok(of_team)),
            (Some(of_team), to(None, u1, None), t1, Ok(of_user)),
            (Some(of_team), to(None, u1, None), t2, Err("user_id")),
            (Some(of_team), to(None, u1, None), None, Err("user_id")),
            (Some(of_team), to(None, None, t2), None, Err("team_id")),
        ];
        for (maker, place, users_team, home) in table {
            let found = place.resolve(maker, users_team);
            let found = found.map_err(|no| no.param.unwrap_or_default());
            assert_eq!(found, home.map_err(str::to_owned), "{maker:?} {place:?} {users_team:?}");
        }
    }
}
