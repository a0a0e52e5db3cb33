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
    /// The home it means. `maker` is where the management key that makes the key belongs, or where
    /// everything does that the operator makes; `users_team` is the team of the user that is named
    /// here.
    ///
    /// # Errors
    /// The user is in another team, or the maker belongs to something that the key would leave.
    pub fn resolve(self, maker: Home, users_team: Option<TeamId>) -> Result<Home, Refusal> {
        let project = self.project.unwrap_or(maker.project);
        let (user, team) = match (self.user, self.team) {
            (None, None) => (maker.user, maker.team),
            (Some(_), Some(team)) if users_team != Some(team) => {
                return no("team_id", "This user is not in this team. Name the user alone.");
            }
            (Some(user), _) => (Some(user), None),
            (None, Some(team)) => (None, Some(team)),
        };
        if maker.project != ProjectId::DEFAULT && project != maker.project {
            return no("project_id", "This management key makes keys of its own project only.");
        }
        if maker.user.is_some() && user != maker.user {
            return no("user_id", "This management key makes keys of its own user only.");
        }
        let stays = team == maker.team || (self.user.is_some() && users_team == maker.team);
        if maker.team.is_some() && !stays {
            return no("team_id", "This management key makes keys of its own team only.");
        }
        Ok(Home { project, user, team })
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
            (anywhere, to(None, None, None), None, Ok(anywhere)),
            (anywhere, to(p1, None, None), None, Ok(in_project)),
            (anywhere, to(None, u1, None), t1, Ok(of_user)),
            (anywhere, to(None, u1, t1), t1, Ok(of_user)),
            (anywhere, to(None, u1, t2), t1, Err("team_id")),
            (anywhere, to(None, u1, t2), None, Err("team_id")),
            (anywhere, to(None, None, t1), None, Ok(of_team)),
            (in_project, to(None, None, None), None, Ok(in_project)),
            (in_project, to(p1, u1, None), None, Ok(Home { user: u1, ..in_project })),
            (in_project, to(p2, None, None), None, Err("project_id")),
            (of_user, to(None, None, None), None, Ok(of_user)),
            (of_user, to(None, u1, None), t1, Ok(of_user)),
            (of_user, to(None, u2, None), t1, Err("user_id")),
            (of_user, to(None, None, t1), None, Err("user_id")),
            (of_team, to(None, None, None), None, Ok(of_team)),
            (of_team, to(None, None, t1), None, Ok(of_team)),
            (of_team, to(None, u1, None), t1, Ok(of_user)),
            (of_team, to(None, u1, None), t2, Err("team_id")),
            (of_team, to(None, u1, None), None, Err("team_id")),
            (of_team, to(None, None, t2), None, Err("team_id")),
        ];
        for (maker, place, users_team, home) in table {
            let found = place.resolve(maker, users_team);
            let found = found.map_err(|no| no.param.unwrap_or_default());
            assert_eq!(found, home.map_err(str::to_owned), "{maker:?} {place:?} {users_team:?}");
        }
    }
}
