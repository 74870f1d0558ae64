import * as dash from '@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import * as common from '@grafana/schema/dist/types/common/common.gen';
import * as stat from '@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import * as series from '@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';
import * as bars from '@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/types.gen';
import * as table from '@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';

// A query as the data source of Prometheus takes it, which the package does not describe.
interface Target extends common.DataQuery {
  expr: string; legendFormat?: string; format?: 'time_series' | 'table' | 'heatmap'; instant?: boolean; range?: boolean;
  interval?: string;
}
type Of<Kind extends string, Options, Custom> = Omit<dash.Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
  type: Kind; options: Options; targets: Target[];
  fieldConfig: Omit<dash.FieldConfigSource, 'defaults'> & { defaults: Omit<dash.FieldConfig, 'custom'> & { custom?: Custom } };
};
type Row = Omit<dash.RowPanel, 'panels'> & { panels: [] };
type Panels = Of<'stat', stat.Options, {}> | Of<'timeseries', series.Options, Partial<series.FieldConfig>>
  | Of<'bargauge', bars.Options, {}> | Of<'table', Partial<table.Options>, Partial<table.FieldConfig>> | Row;
export interface GeneratedDashboard extends Omit<dash.Dashboard, 'panels'> { panels: Panels[] }
