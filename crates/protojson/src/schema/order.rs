//! The order in which contradictions are decided: the innermost types first.

/// Groups the nodes of a graph by its cycles: the nodes of a cycle, and of cycles that share nodes with it, are one
/// group. A node in no cycle is a group of its own. Each group comes after the groups that its edges lead to.
///
/// This is Tarjan's algorithm, with a stack of its own because a chain of types can be long.
pub(super) fn innermost_first(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut search = Search { order: vec![0; edges.len()], lowest: vec![0; edges.len()], ..Search::default() };
    for root in 0..edges.len() {
        if search.order[root] == 0 {
            search.visit(root);
        }
        while let Some((node, edge)) = search.path.last_mut() {
            let (node, next) = (*node, edges[*node].get(*edge).copied());
            *edge += 1;
            match next {
                Some(next) if search.order[next] == 0 => search.visit(next),
                // A node whose group is complete has the order `usize::MAX`.
                Some(next) => search.lowest[node] = search.lowest[node].min(search.order[next]),
                None => search.leave(node),
            }
        }
    }
    search.groups
}

#[derive(Debug, Default)]
struct Search {
    /// The order in which the nodes were visited, counted from 1; 0 for a node that was not visited yet.
    order: Vec<usize>,
    /// The lowest order of a node that each node leads to.
    lowest: Vec<usize>,
    /// The nodes on the way from the root, each with the number of its next edge.
    path: Vec<(usize, usize)>,
    /// The visited nodes whose groups are not complete.
    open: Vec<usize>,
    visited: usize,
    groups: Vec<Vec<usize>>,
}

impl Search {
    fn visit(&mut self, node: usize) {
        self.visited += 1;
        (self.order[node], self.lowest[node]) = (self.visited, self.visited);
        self.path.push((node, 0));
        self.open.push(node);
    }

    /// Leaves a node whose edges were all followed. Completes its group if the node was the first one of the group.
    fn leave(&mut self, node: usize) {
        self.path.pop();
        if let Some((parent, _)) = self.path.last() {
            self.lowest[*parent] = self.lowest[*parent].min(self.lowest[node]);
        }
        if self.lowest[node] == self.order[node] {
            let start = self.open.iter().rposition(|open| *open == node).unwrap_or_default();
            let mut group = self.open.split_off(start);
            group.sort_unstable();
            for member in &group {
                self.order[*member] = usize::MAX;
            }
            self.groups.push(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::innermost_first;

    #[test]
    fn each_group_comes_after_the_groups_that_it_leads_to() {
        for (edges, expected) in [
            (vec![], vec![]),
            (vec![vec![1], vec![2], vec![]], vec![vec![2], vec![1], vec![0]]),
            (vec![vec![0]], vec![vec![0]]),
            // Two cycles with a common node, and a node that leads to them.
            (vec![vec![1], vec![0, 2], vec![1], vec![2]], vec![vec![0, 1, 2], vec![3]]),
            // Two cycles, the first of which leads to the second.
            (vec![vec![1], vec![0, 2], vec![3], vec![2]], vec![vec![2, 3], vec![0, 1]]),
            (vec![vec![1, 2], vec![3], vec![3], vec![]], vec![vec![3], vec![1], vec![2], vec![0]]),
        ] {
            assert_eq!(innermost_first(&edges), expected, "{edges:?}");
        }
    }

    #[test]
    fn a_long_chain_needs_no_deep_recursion() {
        let chain: Vec<Vec<usize>> = (1..=100_000).map(|next| vec![next]).chain([vec![]]).collect();
        assert_eq!(innermost_first(&chain)[0], [100_000]);
    }
}
