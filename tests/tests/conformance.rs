//! The public contracts, on Postgres: one database a suite.

use saas_kernel_tests::backends::Postgres;

saas_kernel::conformance_tests!(Postgres);
